"""Tables, parts, the frozen road and the measures of the classifier, each by what it promises."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from minbpe import RegexTokenizer
from pipeline.classify import classification_scores as scores
from pipeline.classify import csv_table, frozen_blocks, splits
from pipeline.classify.backbone import load_backbone
from pipeline.classify.classifier_folder import TextClassifier, load
from pipeline.classify.splits import Examples
from pipeline.classify.text_encoder import TextEncoder, pad
from pipeline.classify.train_classifier import (
    Budget,
    Epoch,
    fit_classifier,
    probabilities,
    validate,
)
from pipeline.common.errors import DataError, SettingsError, WorkspaceError
from pipeline.dialogue.template import END, SPECIAL
from pipeline.evaluation import authorship
from pipeline.training.hardware.device import Machine
from transformer.classifier import Classifier
from transformer.config import ModelConfig
from transformer.decoder import Decoder

CPU = Machine(torch.device("cpu"))


@pytest.fixture(autouse=True)
def one_thread():
    """Steps this small are slower on two."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def read(tmp_path, content: str | bytes, **changes):
    path = tmp_path / "file.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    options = {"text_column": "text", "label_column": "label", "labelled": True, **changes}
    return csv_table.read(path, **options)


# --- tables ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", [",", ";", "\t", "|", ":", "^"])
def test_any_delimiter_is_found_by_the_header(tmp_path, mark):
    content = f'id{mark}label{mark}text\r\n1{mark}ham{mark}"a, b; c"\r\n\r\n2{mark}spam{mark}d\r\n'
    found = read(tmp_path, content)
    assert found == csv_table.Table(["a, b; c", "d"], ["ham", "spam"])


def test_texts_of_several_lines_and_the_mark_that_excel_writes_first(tmp_path):
    found = read(tmp_path, '\ufeffText,Label\n"one\ntwo ""three""",ham\n')
    assert found.texts == ['one\ntwo "three"']


def test_columns_can_have_other_names_and_the_label_can_be_missing(tmp_path):
    found = read(tmp_path, "body,x\nhello,1\n", text_column="body", labelled=False)
    assert found == csv_table.Table(["hello"], [""])
    found = read(tmp_path, "body,kind\nhello,ham\n", text_column="body", label_column="kind")
    assert found.labels == ["ham"]


FAULTS = {
    "empty": (b"", "is empty"),
    "header alone": (b"text,label\n", "no rows"),
    "no such column": (b"message,label\nx,y\n", "no column text.*message, label;.*--text-column"),
    "no label column": (b"text,kind\nx,y\n", "--label-column"),
    "not UTF-8": ("text,label\ncaf\u00e9,ham\n".encode("latin-1"), "not UTF-8"),
    "UTF-16": ("text,label\nx,ham\n".encode("utf-16"), "not UTF-8"),
    "too many fields": (b"text,label\na,b,ham\n", "line 2: 3 fields"),
    "an open quote": (b'text,label\n"a,ham\nb,ham\n', "line 3"),
}


def test_a_file_without_a_header_is_not_quoted(tmp_path):
    with pytest.raises(DataError, match="2 columns") as error:
        read(tmp_path, "my secret is out there,ham\nx,ham\n")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(("content", "told"), FAULTS.values(), ids=FAULTS)
def test_a_fault_in_a_file_is_one_line_that_says_what_to_do(tmp_path, content, told):
    with pytest.raises(DataError, match=told) as error:
        read(tmp_path, content)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="no file"):
        csv_table.read(tmp_path / "none.csv", "text", "label", labelled=True)


# --- parts -------------------------------------------------------------------------------------


def test_rows_that_teach_nothing_are_counted_and_left_out():
    rows = csv_table.Table(["a", "A ", "", "b", "c"], ["x", "x", "x", "", "y"])
    found = splits.usable(rows)
    assert found.table == csv_table.Table(["a", "c"], ["x", "y"])
    assert (found.incomplete, found.duplicates) == (2, 1)


def test_one_class_or_too_few_texts_are_refused():
    with pytest.raises(DataError, match="two classes"):
        splits.class_names(["x"] * 50)
    with pytest.raises(DataError, match=r"y \(3\)"):
        splits.class_names(["x"] * 50 + ["y"] * 3)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(10, 80), min_size=2, max_size=4), st.integers(0, 1000))
def test_the_split_keeps_proportions_loses_nothing_and_can_be_repeated(counts, seed):
    labels = [str(n) for n, count in enumerate(counts) for _ in range(count)]
    rows = csv_table.Table([f"text {n}" for n in range(len(labels))], labels)
    names = splits.class_names(labels)
    parts = splits.split(rows, names, seed)
    assert parts == splits.split(rows, names, seed)
    assert sorted(t for part in parts for t in part.texts) == sorted(rows.texts)
    label_of = dict(zip(rows.texts, labels, strict=True))
    for name, part in parts._asdict().items():
        assert [names[n] for n in part.labels] == [label_of[text] for text in part.texts]
        for number, count in enumerate(counts):
            assert abs(Counter(part.labels)[number] - splits.SHARES[name] * count) <= 1


def test_another_seed_is_another_split():
    rows = csv_table.Table([str(n) for n in range(100)], ["a", "b"] * 50)
    assert splits.split(rows, ["a", "b"], 0) != splits.split(rows, ["a", "b"], 1)


# --- encoding, the frozen road, the loop ---------------------------------------------------------


def decoder(layers=3, **others) -> Decoder:
    config = ModelConfig(
        vocab_size=270, block=32, width=16, layers=layers, heads=2, dropout=0.0, **others
    )
    generator = torch.Generator().manual_seed(1)
    found = Decoder(config, generator).eval()
    if found.convolution is not None:
        torch.nn.init.normal_(found.convolution.weight, generator=generator)
    return found


def test_long_texts_are_cut_and_all_end_alike():
    tokenizer = RegexTokenizer(special=SPECIAL)
    ids, cut = TextEncoder(tokenizer, 8).encode(["", "short", "far longer than eight"])
    end = tokenizer.special[END]
    assert cut == 1
    assert ids[0] == [end]
    assert [len(row) for row in ids] == [1, 6, 8]
    assert all(row[-1] == end for row in ids)


@pytest.mark.parametrize(
    "others",
    [
        *({"position": name} for name in ("rope", "learned", "relative", "sinusoidal")),
        {"conv_kernel": 4, "tied": False},
    ],
)
def test_the_upper_part_over_kept_states_tells_what_the_whole_tells(others):
    whole = decoder(**others)
    texts = [[5, 6, 7, 8], [9], [1, 2, 3]]
    states = frozen_blocks.hidden_states(
        frozen_blocks.lower_part(whole, 2), texts, CPU, lambda done: None
    )
    upper = frozen_blocks.upper_part(whole, 2, states)
    device = torch.device("cpu")
    a = Classifier(whole, 2, torch.Generator().manual_seed(0)).eval()
    b = Classifier(upper, 2, torch.Generator().manual_seed(0)).eval()
    assert torch.allclose(
        a(pad(texts, device)), b(pad(frozen_blocks.row_numbers(texts), device)), atol=1e-5
    )


def toy(count: int) -> Examples:
    """Texts whose class is whether they hold a 7."""
    draw = np.random.default_rng(count)
    texts = [[int(i) for i in draw.integers(8, 30, size=6)] for _ in range(count)]
    labels = [n % 2 for n in range(count)]
    for text, label in zip(texts, labels, strict=True):
        if label:
            text[int(draw.integers(6))] = 7
    return Examples(texts, labels)


def trained(epochs: int, **changes) -> tuple[Epoch, torch.Tensor]:
    made = Classifier(decoder(layers=1), 2, torch.Generator().manual_seed(0))
    budget = Budget(epochs, 1e-2, **{"patience": epochs, **changes})
    best = fit_classifier(made, toy(160), toy(40), budget, CPU, 3, lambda *at: None)
    return best, probabilities(made, toy(60).texts, CPU)


def test_the_loop_learns():
    _, told = trained(14)
    assert (told.argmax(dim=1) == torch.tensor(toy(60).labels)).double().mean() > 0.85


def test_the_loop_ends_with_its_best_pass_and_can_be_repeated():
    seen: list[Epoch] = []
    made = Classifier(decoder(layers=1), 2, torch.Generator().manual_seed(0))
    val = toy(40)

    def told(step, total, epoch):
        seen.extend([epoch] if epoch else [])

    best = fit_classifier(made, toy(48), val, Budget(4, 3e-2, 4), CPU, 3, told)
    assert best == max(seen, key=lambda at: at.score)
    assert validate(made, val, CPU, best.number) == best
    again = Classifier(decoder(layers=1), 2, torch.Generator().manual_seed(0))
    assert fit_classifier(again, toy(48), val, Budget(4, 3e-2, 4), CPU, 3, told) == best
    assert torch.equal(again.head.weight, made.head.weight)


def test_the_time_limit_ends_a_run_after_a_pass():
    best, _ = trained(50, seconds=0.0)
    assert best.number == 1


def test_a_base_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(SettingsError, match="smollm2"):
        load_backbone(str(tmp_path / "none"))


# --- the folder --------------------------------------------------------------------------------


def test_a_saved_classifier_replaces_an_older_one_whole_or_not_at_all(tmp_path, monkeypatch):
    older = TextClassifier(
        Classifier(decoder(layers=1), 2), RegexTokenizer(special=SPECIAL), ["a", "b"]
    )
    newer = TextClassifier(Classifier(decoder(layers=2), 3), RegexTokenizer(), ["a", "b", "c"])
    older.save(tmp_path / "made")

    def stopped(*given):
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr("pipeline.classify.classifier_folder.write_json", stopped)
        with pytest.raises(KeyboardInterrupt):
            newer.save(tmp_path / "made")
    assert load(tmp_path / "made").labels == ["a", "b"]
    assert load(tmp_path / "made").tokenizer.special == older.tokenizer.special
    newer.save(tmp_path / "made")
    again = load(tmp_path / "made")
    ids = torch.tensor([[3, 4, 5]])
    assert again.labels == ["a", "b", "c"]
    assert torch.equal(again.classifier(ids), newer.classifier.eval()(ids))
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_a_folder_without_a_classifier_or_with_other_labels_is_one_line(tmp_path):
    with pytest.raises(WorkspaceError, match="classify train"):
        load(tmp_path)
    TextClassifier(Classifier(decoder(layers=1), 2), RegexTokenizer(), ["a", "b"]).save(
        tmp_path / "made"
    )
    (tmp_path / "made" / "labels.json").write_text('["a"]', encoding="utf-8")
    with pytest.raises(WorkspaceError, match="damaged"):
        load(tmp_path / "made")


# --- measures ----------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=40))
def test_the_measures_are_those_of_scikit_learn(pairs):
    true, told = zip(*pairs, strict=True)
    counts = scores.confusion(true, told, 3)
    assert (counts == confusion_matrix(true, told, labels=[0, 1, 2])).all()
    assert scores.accuracy(counts) == pytest.approx(accuracy_score(true, told))
    expected = f1_score(true, told, labels=[0, 1, 2], average="macro", zero_division=0)
    assert scores.macro_f1(counts) == pytest.approx(expected)


# --- authorship --------------------------------------------------------------------------------


def test_a_voice_is_told_from_others_and_its_decoder_is_left_alone():
    tokenizer = RegexTokenizer()
    made = decoder(layers=1)
    before = {name: value.clone() for name, value in made.state_dict().items()}
    texts = {
        "Ana": [f"yes! {n} yes!" for n in range(60)],
        "Ben": [f"well, {n} hm" for n in range(40)],
        "Cem": [f"no {n} way" for n in range(40)],
    }
    replies = [f"yes! {n} yes!" for n in range(60, 80)] + [f"well, {n} hm" for n in range(60, 80)]
    odds = authorship.learn_authorship(made, tokenizer, texts, "Ana", seed=0, seconds=20)(replies)
    assert len(odds) == 40
    assert sum(odds[:20]) > 0 > sum(odds[20:])
    assert all(torch.equal(before[name], value) for name, value in made.state_dict().items())


def test_too_few_turns_of_a_voice_are_refused():
    with pytest.raises(DataError, match="2 turns of the persona"):
        authorship.balanced({"Ana": ["a", "b"], "Ben": ["c"] * 50}, "Ana", 0)
