"""The lessons: each runs and gives its picture, and what it says is so."""

from __future__ import annotations

import math
import struct
import time
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn

import minbpe
from minbpe import RegexTokenizer
from pipeline.__main__ import main
from pipeline.explain.figures import save_picture
from pipeline.explain.lesson import Request, Table
from pipeline.explain.lessons import lesson_forward, lesson_memmap
from pipeline.explain.show import show
from pipeline.explain.tiny_model import tiny_model, untrained
from pipeline.explain.topics import TOPICS, load_lesson
from transformer import Decoder, ModelConfig, save
from transformer.blank import blank
from transformer.presets import preset

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs" / "pictures"
LIMIT = 60_000  # bytes of a picture
SLOW = 60  # seconds of computing: a lesson takes below 10, and some machines are slow


def size_of(picture):
    """Width and height of a PNG."""
    content = picture.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", content[16:24])


@pytest.fixture(scope="module", autouse=True)
def small_lessons():
    """The two lessons that take long in their real size, with fewer numbers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lesson_forward, "preset", lambda name: preset(name, width=48))
        patch.setattr(lesson_memmap, "TOKENS", (10_000, 20_000, 40_000))
        yield


@cache
def lesson(topic):
    return load_lesson(topic, Request())


@pytest.mark.parametrize("topic", TOPICS)
def test_every_topic_is_told_and_drawn_in_seconds(topic, tmp_path, console):
    began = time.process_time()
    show(lesson(topic), console)
    picture = tmp_path / "a.png"
    save_picture(lesson(topic).draw, lesson(topic).size, picture)
    assert time.process_time() - began < SLOW
    width, height = size_of(picture)
    assert min(width, height) > 200
    assert picture.stat().st_size < LIMIT
    told = console.file.getvalue()
    assert "──" in told, "there is a table"
    assert "Code: " in told


@pytest.mark.parametrize("topic", TOPICS)
def test_the_page_shows_every_topic(topic):
    page = (ROOT / "docs" / "explain.md").read_text(encoding="utf-8")
    assert f"(pictures/{topic}.png)" in page
    assert f"pipeline explain {topic}" in page
    size_of(PICTURES / f"{topic}.png")


def test_the_pictures_are_small_and_none_is_left_over():
    pictures = [path for path in PICTURES.glob("*.png") if not path.name.startswith("laboratory")]
    assert {picture.stem for picture in pictures} == set(TOPICS)
    assert all(picture.stat().st_size < LIMIT for picture in pictures)
    assert sum(picture.stat().st_size for picture in pictures) < 1_000_000


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["mask"], "There is no topic 'mask': did you mean masks?"),
        (["xyz"], "pick one of forward, generate, loss"),
        (["masks", "hello"], "masks takes no text; texts are for forward, generate, attention"),
        (["generate", "a", "b"], "generate takes at most 1 text;"),
        (["loss", "--workspace", "x"], "loss uses no trained model; --workspace is for"),
        (["masks", "--out", "a.jpg"], "--out a.jpg must be an existing folder, or a file"),
        (["attention", "a" * 500], "The text has 500 tokens: give one with 1 to 128."),
        (["generate", ""], "The text has 0 tokens"),
        (["attention", "--workspace", "nowhere"], "There is no nowhere; check the path."),
    ],
)
def test_a_mistake_is_one_line(words, told, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["explain", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert not list(tmp_path.iterdir())


def test_without_a_topic_all_are_listed(capsys):
    assert main(["explain"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(TOPICS)


def test_the_picture_goes_where_it_is_wanted(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["explain", "masks"]) == 0
    assert capsys.readouterr().out.endswith("The picture is in masks.png.\n")
    assert main(["explain", "masks", "--out", "new/name.png"]) == 0
    assert (tmp_path / "masks.png").read_bytes() == (tmp_path / "new/name.png").read_bytes()


def test_any_text_is_shown_as_it_is(console, tmp_path):
    text = "[b] $x$ y^2 你 \\frac"
    attention = load_lesson("attention", Request((text,)))
    show(attention, console)
    save_picture(attention.draw, attention.size, tmp_path / "a.png")
    size_of(tmp_path / "a.png")
    show(load_lesson("generate", Request((text,))), console)
    assert text in console.file.getvalue().replace("\\\\", "\\")


def test_forward_ends_in_logits_for_two_sentences_of_four_tokens():
    found, ids = lesson_forward.rows(lesson_forward.SENTENCES)
    assert [len(row) for row in found] == [4, 4]
    assert ids.shape == (2, 4)
    tables = [part for part in lesson("forward").parts if isinstance(part, Table)]
    shapes = {row[0]: row[1] for table in tables for row in table.rows}
    assert shapes["logits"] == "(2, 4, 50257)"
    assert shapes["layer 12"] == "(2, 4, 48)"
    assert shapes["1: queries, keys, values"] == "(2, 4, 144)"
    real = blank(preset(lesson_forward.PRESET))
    assert sum(p.numel() for p in real.parameters()) == 163_009_536


def test_texts_of_unequal_length_are_padded():
    found, ids = lesson_forward.rows(("soup", "The soup was good"))
    assert ids.tolist() == [[*found[0], *[-1] * (4 - len(found[0]))], found[1]]


def test_generate_takes_the_likeliest_each_time():
    from pipeline.explain.lessons.lesson_generate import SHOWN, STEPS, generate

    model = tiny_model()
    ids = model.encode("Good morn")
    steps = generate(model, ids)
    chosen = [step.trained[0][0] for step in steps]
    whole = torch.tensor([[*ids, *chosen]])
    assert chosen == model.decoder(whole)[0, -STEPS - 1 : -1].argmax(-1).tolist()
    for step in steps:
        for ranked in (step.untrained, step.trained):
            shares = [share for _, share in ranked]
            assert len(shares) == SHOWN
            assert shares == sorted(shares, reverse=True)
            assert 0 < sum(shares) <= 1
        assert max(share for _, share in step.untrained) < 0.1


def test_the_update_by_hand_is_torchs():
    from pipeline.explain.lessons.lesson_loss import (
        RATE,
        TARGET,
        by_hand,
        first_adamw,
        small_decoder,
    )
    from pipeline.training.loss import summed

    decoder, x, y = small_decoder()
    hidden = decoder.hidden(x)[0, -1].tolist()
    head = decoder.unembed_weight.tolist()
    found = by_hand(hidden, head, TARGET, RATE)
    weight = nn.Parameter(torch.tensor(head))
    loss = nn.functional.cross_entropy(torch.tensor([hidden]) @ weight.T, torch.tensor([TARGET]))
    loss.backward()
    assert found.loss == pytest.approx(loss.item(), abs=1e-6)
    assert found.loss == pytest.approx(summed(decoder, x, y)[0].item(), abs=1e-6)
    torch.testing.assert_close(torch.tensor(found.gradient), weight.grad)
    torch.optim.SGD([weight], lr=RATE).step()
    torch.testing.assert_close(torch.tensor(found.updated), weight.data)
    again = nn.Parameter(torch.tensor(head))
    again.grad = weight.grad
    torch.optim.AdamW([again], lr=0.01, weight_decay=0).step()
    torch.testing.assert_close(
        torch.tensor(first_adamw(head, found.gradient, 0.01)), again.data, rtol=1e-4, atol=1e-6
    )
    assert by_hand(hidden, found.updated, TARGET, RATE).loss < found.loss


@pytest.mark.parametrize(
    ("name", "tied", "own"),
    [
        ("gpt2", 124_439_808, 163_037_184),
        ("gpt2-medium", 354_823_168, 406_286_336),
        ("gpt2-large", 774_030_080, 838_359_040),
        ("gpt2-xl", 1_557_611_200, 1_638_022_400),
    ],
)
def test_parameters_are_those_of_gpt2(name, tied, own):
    from pipeline.explain.lessons.lesson_parameters import count

    size = count(name)
    assert size.total == tied == sum(size.parts.values())
    assert size.total + size.head == own
    assert size.gib("weights", "bfloat16") == pytest.approx(2 * tied / 2**30)


def test_norms_give_mean_0_and_variance_1():
    from pipeline.explain.lessons.lesson_normalization import ROWS, normed, tokens

    y = normed("layer", tokens())
    torch.testing.assert_close(y.mean(1), torch.zeros(len(y)), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.var(1, correction=0), torch.ones(len(y)), atol=1e-3, rtol=0)
    columns = normed("batch", torch.tensor(ROWS))
    torch.testing.assert_close(columns.mean(0), torch.zeros(3), atol=1e-6, rtol=0)
    torch.testing.assert_close(columns.var(0, correction=0), torch.ones(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(
        columns[:, 0], torch.tensor([-3.0, -1, 1, 3]) / math.sqrt(5), atol=1e-4, rtol=0
    )


def test_padding_reaches_real_rows_through_batchnorm_only():
    from pipeline.explain.lessons.lesson_normalization import with_padding

    found = with_padding()
    assert torch.equal(found.layer, found.layer_padded)
    assert (found.batch - found.batch_padded).abs().min() > 0.3


def test_unequal_scales_slow_descent():
    from pipeline.explain.lessons.lesson_normalization import descents

    raw, even = (len(losses) for losses in descents().values())
    assert raw > 100 * even


def test_gradients_vanish_and_explode_and_shortcuts_mend_the_first():
    from pipeline.explain.lessons.lesson_gradients import CASES, decoder_gradients, stacked

    first = {name: stacked(*case, residual=False)[0] for name, case in CASES.items()}
    assert first["sigmoid, weights × 1"] < 1e-15
    assert first["tanh, weights × 0.5"] < 1e-6
    assert first["tanh, weights × 4"] > 1e3
    assert first["sigmoid, weights × 40"] > 1e3
    assert all(stacked(*case, residual=True)[0] > 0.5 for case in CASES.values())
    assert 0.5 < decoder_gradients()[0] < 2


def test_activations_are_those_of_the_papers():
    from pipeline.explain.lessons.lesson_activations import (
        activation,
        gated,
        largest_gap,
        slope,
        weights,
    )

    x = torch.linspace(-3, 3, 13, dtype=torch.float64)
    wanted = {
        "relu": x.clamp(min=0),
        "leaky_relu": torch.where(x > 0, x, 0.01 * x),
        "silu": x / (1 + (-x).exp()),
        "gelu": x * (1 + torch.erf(x / math.sqrt(2))) / 2,
        "gelu_tanh": x / 2 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    }
    for name, y in wanted.items():
        torch.testing.assert_close(activation(name)(x), y)
    torch.testing.assert_close(gated(x, 2 * x), 2 * x * wanted["silu"])
    assert slope(activation("silu"), torch.zeros(1)).item() == 0.5
    assert 1e-4 < largest_gap()[1] < 1e-3
    assert weights("swiglu") == weights("gelu")


def test_positions_are_as_told():
    from pipeline.explain.lessons.lesson_positions import WIDTH, angles, scores, waves

    torch.testing.assert_close(waves().norm(dim=1), torch.full((128,), math.sqrt(WIDTH / 2)))
    found = scores()
    torch.testing.assert_close(found[1:, 1:], found[:-1, :-1], atol=1e-3, rtol=0)
    torch.testing.assert_close(angles()[0], torch.tensor(1.0))
    torch.testing.assert_close(
        angles()[1:] / angles()[:-1], torch.full((31,), 10_000 ** (-2 / WIDTH))
    )


def test_every_pattern_has_a_causal_mask():
    from pipeline.explain.lessons.lesson_masks import SIZES, mask
    from transformer.patterns import PATTERNS

    assert set(SIZES) == set(PATTERNS)
    for name in PATTERNS:
        seen = mask(name)
        assert not seen.triu(1).any(), name
        assert seen.diagonal().all(), name
    assert int(mask("full").sum()) == 32 * 33 // 2
    assert int(mask("local")[-1].sum()) == 6


def test_maps_are_shares_of_the_past_as_attention_takes_them():
    from pipeline.explain.decoder_hooks import attention_maps

    model = tiny_model()
    ids = torch.tensor([model.encode("the soup is good")])
    before = model.decoder(ids)
    layers = attention_maps(model.decoder, ids)
    assert torch.equal(before, model.decoder(ids)), "looking changes nothing"
    assert [tuple(layer.shape) for layer in layers] == [(1, 4, 16, 16)] * 2
    for layer in layers:
        torch.testing.assert_close(layer.sum(-1), torch.ones(1, 4, 16))
        assert not layer.triu(1).any()
    shorter = attention_maps(model.decoder, ids[:, :5])
    torch.testing.assert_close(shorter[1], layers[1][:, :, :5, :5])


@pytest.fixture
def model_folder(tmp_path):
    """A model as stage 7 leaves it, with the given changes to its config, as far as it is read."""

    def make(**changes):
        config = ModelConfig(vocab_size=256, block=32, width=32, layers=3, heads=2, **changes)
        save(Decoder(config), tmp_path / "model", torch.bfloat16)
        minbpe.save(RegexTokenizer(), tmp_path / "model" / "tokenizer.json")
        (tmp_path / "model" / "chat.json").write_text("{}", encoding="utf-8")
        return str(tmp_path)

    return make


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"attention": "latent", "placement": "post"},
        {"pattern": "bigbird", "window": 4, "pattern_block": 2, "position": "relative"},
    ],
)
def test_a_workspaces_own_model_is_looked_at(changes, model_folder, tmp_path, capsys):
    out = str(tmp_path / "a.png")
    given = ["a sentence", "--workspace", model_folder(**changes), "--out", out]
    assert main(["explain", "attention", *given]) == 0
    told = capsys.readouterr().out
    assert "layer 3, head 2" in told
    assert "The model is the one in" in told


def test_a_model_without_maps_or_weights_is_one_line(model_folder, tmp_path, capsys):
    given = ["--workspace", model_folder(attention="linear"), "--out", str(tmp_path / "a.png")]
    assert main(["explain", "attention", *given]) == 2
    assert capsys.readouterr().err.startswith("Linear attention has no map")
    assert main(["explain", "generate", "a", *given]) == 0
    (tmp_path / "model" / "model.safetensors").unlink()
    assert main(["explain", "generate", *given]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_trained_model_has_learned():
    from pipeline.training.loss import summed

    model = tiny_model()
    ids = torch.tensor([model.encode("Good morning, the soup is on the table")])
    with torch.no_grad():
        after, targets = summed(model.decoder, ids[:, :-1], ids[:, 1:])
        before, _ = summed(untrained(model.decoder.config), ids[:, :-1], ids[:, 1:])
    assert after / targets < 3 < 5 < before / targets


def test_lora_changes_4_194_304_numbers_by_8_192():
    from pipeline.explain.lessons.lesson_lora import adapted, check

    matrix = adapted()
    assert matrix.weight.numel() == 4_194_304
    assert matrix.adapter == 8_192
    found = check(matrix)
    assert found.at_start < 1e-5
    assert found.error < 1e-4
    assert found.rank == 2


def test_padded_rows_are_x_moved_by_one_and_padding_changes_nothing():
    from pipeline.explain.lessons.lesson_padding import check, rows

    found = rows()
    for side in found[:2]:
        for x, y in side.tolist():
            wanted = [(n, i) for n, i in enumerate(y) if i >= 0]
            assert wanted
            assert all(x[n + 1] == i for n, i in wanted if n + 1 < len(x) and x[n + 1] >= 0)
            assert all(x[n] >= 0 for n, _ in wanted), "padding has no targets"
    assert (found.right[:, 0, -1] == -1).all()
    assert (found.left[:, 0, 0] == -1).all()
    assert torch.equal(found.right[found.right >= 0], found.left[found.left >= 0])
    tested = check(found)
    assert tested.sides < 1e-5
    assert tested.unpadded < 1e-5
    assert tested.losses[0] == pytest.approx(tested.losses[1], abs=1e-5)


def test_a_mapped_file_asks_for_no_memory_that_grows(tmp_path):
    small_costs, large = (
        {name: lesson_memmap.cost(name, n, tmp_path) for name in lesson_memmap.FORMATS}
        for n in (50_000, 400_000)
    )
    assert large["pickle of a list"].memory > 6 * small_costs["pickle of a list"].memory
    assert large["pickle of an array"].memory > 6 * small_costs["pickle of an array"].memory
    assert large["memory-mapped file"].memory < 1.1 * small_costs["memory-mapped file"].memory
    assert large["memory-mapped file"].memory < large["pickle of an array"].memory / 4
    assert not list(tmp_path.iterdir())
