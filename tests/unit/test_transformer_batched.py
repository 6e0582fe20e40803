"""Many rows at once are continued as each would be alone."""

from __future__ import annotations

import pytest
import torch

from transformer.batched import generate_batch
from transformer.config import ModelConfig
from transformer.decoder import Decoder
from transformer.generate import Sampling, generate
from transformer.positions import POSITIONS

GREEDY = Sampling(temperature=0)
# The last two are a full block and more than one.
PROMPTS = [[1, 2, 3], [4], list(range(5, 15)), [7] * 16, list(range(25))]


def tiny(**changes):
    torch.manual_seed(0)
    sizes = {"vocab_size": 30, "block": 16, "width": 16, "layers": 2, "heads": 4}
    decoder = Decoder(ModelConfig(**{**sizes, **changes})).eval()
    with torch.no_grad():
        for weight in decoder.parameters():
            weight.normal_(std=0.3)
    return decoder


def one_by_one(decoder, prompts, *how, **more):
    return [list(generate(decoder, prompt, *how, **more)) for prompt in prompts]


def passes(decoder):
    """The shapes of the passes a decoder is asked for, as a list that grows."""
    shapes: list[tuple[int, int]] = []
    whole = decoder.hidden

    def hidden(ids, cache=None):
        shapes.append(tuple(ids.shape))
        return whole(ids, cache)

    decoder.hidden = hidden
    return shapes


@pytest.mark.parametrize("position", sorted(POSITIONS))
@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_rows_get_the_likeliest_ids_they_would_get_alone(position, penalty):
    """Short and past the block, with rows that end at different times or not at all."""
    decoder = tiny(position=position)
    how = Sampling(temperature=0, repetition_penalty=penalty)
    alone = one_by_one(decoder, PROMPTS, 40, how)
    assert generate_batch(decoder, PROMPTS, 40, how) == alone
    for stops in ([alone[0][2]], [alone[1][5]], [alone[2][3], alone[4][1]]):
        ended = one_by_one(decoder, PROMPTS, 40, how, stop_ids=stops)
        assert generate_batch(decoder, PROMPTS, 40, how, stop_ids=stops) == ended
        assert len(set(map(len, ended))) > 1


def test_a_step_is_one_pass_for_all_rows():
    decoder = tiny()
    shapes = passes(decoder)
    generate_batch(decoder, PROMPTS[:3], 4, GREEDY)
    assert shapes == [(3, 10), (3, 1), (3, 1), (3, 1)]


def test_rows_that_ended_leave_once_they_are_half_of_all(monkeypatch):
    decoder = tiny(block=64)
    falling = torch.arange(30.0, 0.0, -1.0)
    monkeypatch.setattr(decoder, "head", lambda hidden: falling.expand(len(hidden), -1))
    how = Sampling(temperature=0, repetition_penalty=100)  # so a row says 0, 1, 2 … but its own
    shapes = passes(decoder)
    known = [0, 1, 2, 3]
    assert generate_batch(decoder, [[9] * 4, known, known], 30, how, stop_ids=[4]) == [
        known,
        [],
        [],
    ]
    assert shapes == [(2, 4), (1, 1), (1, 1), (1, 1), (1, 1)]  # two prompts are the same


def test_a_seed_gives_the_same_ids_and_another_others():
    decoder = tiny()

    def drawn(seed):
        return generate_batch(
            decoder, PROMPTS, 10, generator=torch.Generator().manual_seed(seed), stop_ids=[3]
        )

    assert drawn(5) == drawn(5) != drawn(6)


def test_one_row_draws_what_generate_draws():
    decoder, how = tiny(), Sampling(temperature=0.9, top_k=9, min_p=0.05)
    for prompt in PROMPTS:
        alone = list(generate(decoder, prompt, 30, how, generator=torch.Generator().manual_seed(2)))
        seeded = torch.Generator().manual_seed(2)
        assert generate_batch(decoder, [prompt], 30, how, generator=seeded) == [alone]


def test_forbidden_ids_never_come():
    decoder = tiny()
    likeliest = generate_batch(decoder, PROMPTS, 8, GREEDY)
    forbidden = {i for ids in likeliest for i in ids}
    for ids in generate_batch(decoder, PROMPTS, 8, GREEDY, forbidden_ids=sorted(forbidden)):
        assert len(ids) == 8
        assert not forbidden & set(ids)


def test_the_mode_is_left_as_it_was():
    decoder = tiny().train()
    assert generate_batch(decoder, PROMPTS, 0) == [[]] * 5
    assert generate_batch(decoder, [], 5) == []
    generate_batch(decoder, PROMPTS, 2)
    assert decoder.training
    assert torch.is_grad_enabled()


def test_an_empty_prompt_is_refused():
    with pytest.raises(ValueError, match="at least one id"):
        generate_batch(tiny(), [[1], []], 3)


@pytest.mark.parametrize("attention", ["grouped", "linear", "latent"])
def test_a_prompt_given_several_times_is_read_once(attention):
    decoder = tiny(attention=attention)
    prompts = [PROMPTS[2], PROMPTS[0], PROMPTS[2], PROMPTS[2]]
    alone = one_by_one(decoder, prompts, 5, GREEDY)
    shapes = passes(decoder)
    assert generate_batch(decoder, prompts, 5, GREEDY) == alone
    assert shapes[0] == (2, len(PROMPTS[2]))
    drawn = generate_batch(decoder, [[1, 2]] * 8, 5, generator=torch.Generator().manual_seed(0))
    assert len(set(map(tuple, drawn))) > 1


def test_picked_rows_of_a_cache_go_on_as_they_would_have():
    decoder = tiny()
    ids = torch.tensor([[-1, -1, 3], [4, 5, 6]])
    cache = decoder.new_cache()
    with torch.no_grad():
        decoder(ids, cache)
        picked = cache.select_rows(torch.tensor([1, 0, 1]))
        more = torch.tensor([[7], [8], [9]])
        together = decoder(more, picked)
        for row, (first, new) in enumerate([(1, 7), (0, 8), (1, 9)]):
            alone = decoder.new_cache()
            decoder(ids[first : first + 1], alone)
            torch.testing.assert_close(
                together[row : row + 1], decoder(torch.tensor([[new]]), alone)
            )
    assert len(cache) == 3
