"""Generation streams, stops, forbids, reuses its cache, and goes on past the block."""

from __future__ import annotations

from itertools import islice

import pytest
import torch

from transformer.config import ModelConfig
from transformer.decoder import Decoder
from transformer.generate import Sampling, generate

GREEDY = Sampling(temperature=0)
PROMPT = [1, 2, 3]


@pytest.fixture(autouse=True)
def _general_road(monkeypatch):
    """The passes counted here are the reference path's; the compiled one gives the same ids
    (test_transformer_single.py)."""
    monkeypatch.setattr("transformer.fast.single.compiled_step", lambda decoder: None)


@pytest.fixture
def decoder():
    torch.manual_seed(0)
    made = Decoder(ModelConfig(vocab_size=30, block=16, width=16, layers=2, heads=4)).eval()
    with torch.no_grad():
        for weight in made.parameters():
            weight.normal_(std=0.3)
    return made


@torch.no_grad()
def likeliest(decoder, ids, new):
    """The plain way, without a cache."""
    ids = list(ids)
    for _ in range(new):
        ids.append(int(decoder(torch.tensor([ids]))[0, -1].argmax()))
    return ids[-new:]


def counted(decoder):
    """The lengths of the passes a decoder is asked for, as a list that grows."""
    lengths: list[int] = []
    whole = decoder.hidden

    def hidden(ids, cache=None):
        lengths.append(ids.size(1))
        return whole(ids, cache)

    decoder.hidden = hidden
    return lengths


def test_the_likeliest_ids_are_those_found_without_a_cache(decoder):
    assert list(generate(decoder, PROMPT, 12, GREEDY)) == likeliest(decoder, PROMPT, 12)


def test_a_token_costs_a_token(decoder):
    lengths = counted(decoder)
    list(generate(decoder, PROMPT, 5, GREEDY))
    assert lengths == [3, 1, 1, 1, 1]


def test_ids_come_one_by_one(decoder):
    lengths = counted(decoder)
    stream = generate(decoder, PROMPT, 1000, GREEDY)
    assert len(list(islice(stream, 2))) == 2
    assert len(lengths) == 2


def test_a_seed_gives_the_same_ids(decoder):
    def drawn(seed):
        return list(generate(decoder, PROMPT, 10, generator=torch.Generator().manual_seed(seed)))

    assert drawn(5) == drawn(5)
    assert drawn(5) != drawn(6)


def test_it_ends_before_a_stop_id(decoder):
    plain = likeliest(decoder, PROMPT, 8)
    stop = plain[4]
    ended = list(generate(decoder, PROMPT, 8, GREEDY, stop_ids=[stop]))
    assert ended == plain[: plain.index(stop)]


def test_forbidden_ids_never_come(decoder):
    forbidden = likeliest(decoder, PROMPT, 8)
    assert not {*generate(decoder, PROMPT, 8, GREEDY, forbidden_ids=forbidden)} & {*forbidden}


def test_the_penalty_is_for_the_prompt_and_what_followed_but_not_for_stop_ids(decoder):
    strict = Sampling(temperature=0, repetition_penalty=2)
    falling = torch.arange(30.0, 0.0, -1.0).view(1, 30)  # 0 is likeliest, then 1, then 2
    decoder.head = lambda hidden: falling
    assert list(generate(decoder, [0, 1], 3, strict)) == [2, 3, 4]
    assert list(generate(decoder, [0, 1], 3, strict, stop_ids=[1])) == []


def test_a_kept_cache_saves_what_is_shared_and_changes_nothing(decoder):
    cache = decoder.new_cache()
    said = list(generate(decoder, PROMPT, 4, GREEDY, cache=cache))
    assert len(cache) == len(PROMPT) + len(said) - 1  # the last was never fed
    lengths = counted(decoder)
    longer = [*PROMPT, *said, 7, 8]
    assert list(generate(decoder, longer, 3, GREEDY, cache=cache)) == likeliest(decoder, longer, 3)
    assert lengths[0] == 3
    other = [*longer[:5], 9, 9]
    lengths.clear()
    assert list(generate(decoder, other, 3, GREEDY, cache=cache)) == likeliest(decoder, other, 3)
    assert lengths[0] == 2


def test_a_cache_survives_being_interrupted_in_the_middle_of_a_pass(decoder):
    cache = decoder.new_cache()
    said = list(generate(decoder, PROMPT, 3, GREEDY, cache=cache))
    last = decoder.blocks[1]

    def interrupt(*_):
        raise KeyboardInterrupt

    hook = last.register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        list(generate(decoder, [*PROMPT, *said], 3, GREEDY, cache=cache))
    hook.remove()
    ids = [*PROMPT, *said]
    assert list(generate(decoder, ids, 3, GREEDY, cache=cache)) == likeliest(decoder, ids, 3)


def test_past_the_block_it_goes_on_with_the_newer_half(decoder):
    ids = list(generate(decoder, PROMPT, 40, GREEDY))
    assert len(ids) == 40
    whole = [*PROMPT, *ids]
    # 16 fit; the 17th is the first whose context is the newer 8.
    assert whole[17] == likeliest(decoder, whole[9:17], 1)[0]
    long = list(range(25))
    assert list(generate(decoder, long, 1, GREEDY)) == likeliest(decoder, long[-16:], 1)


def test_the_mode_is_left_as_it_was_and_gradients_stay_on_for_the_caller(decoder):
    decoder.train()
    stream = generate(decoder, PROMPT, 3, GREEDY)
    next(stream)
    assert torch.is_grad_enabled()
    assert not decoder.training
    stream.close()
    assert decoder.training


def test_an_empty_context_is_refused(decoder):
    with pytest.raises(ValueError, match="at least one id"):
        list(generate(decoder, [], 3))
