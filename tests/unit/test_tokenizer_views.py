"""`tokenizer --compare` and `--show`: the figures, the screen, and no stage out of date after."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console
from tests_support import chat_lines
from tokenizer_files import gpt2_like, llama_like

import minbpe
from minbpe import PretrainedTokenizer, RegexTokenizer
from minbpe.io.tokenizer_json import dump_json
from pipeline.__main__ import main
from pipeline.cli import tokenizer_figures
from pipeline.cli.tokenizer_compare import SENTENCE, parse_sizes, reasons
from pipeline.cli.tokenizer_figures import count, measure
from pipeline.cli.tokenizer_show import Replay, show
from pipeline.common.screen import Screen
from pipeline.dialogue import training_text
from pipeline.workspace.freshness import why
from pipeline.workspace.stages import STAGES
from pipeline.workspace.workspace import Workspace

BOOK = Path(__file__).resolve().parents[2].joinpath("README.md").read_text(encoding="utf-8")
TOKENIZER = Path("3_tokenizer/tokenizer.json")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A workspace with a corpus and a chat, as far as the tokenizer."""
    home = tmp_path_factory.mktemp("home")
    (home / "chat.txt").write_text(chat_lines(60), encoding="utf-8")
    (home / "book.txt").write_text(BOOK, encoding="utf-8")
    space = home / "space"
    given = ["--export", str(home / "chat.txt"), "--persona", "Ben", "--workspace", str(space)]
    assert main(["1-3", *given, "--corpus", str(home / "book.txt")]) == 0
    return space


def rows_of(space, sizes, sentence=SENTENCE):
    workspace, screen = Workspace(space), Screen(Console(file=io.StringIO()))
    counts = count(workspace, screen)
    return counts, measure(workspace, counts, sizes, sentence, screen)


def test_the_figures_are_those_of_training_each_size_by_itself(made):
    counts, rows = rows_of(made, [256, 300, 400])
    text = list(training_text.for_vocabulary(Workspace(made)))
    for row in rows[1:4]:
        tokenizer = RegexTokenizer.train(text, row.size)
        assert row.tokens == sum(len(tokenizer.encode(t)) for t in text)
        assert "".join(row.example) == SENTENCE.replace(" ", "␣")
        assert len(row.example) == len(tokenizer.encode(SENTENCE))
    letters, words = rows[0], rows[-1]
    assert (letters.level, letters.tokens) == ("letters", len("".join(text)))
    assert letters.size == len(set("".join(text)))
    assert words.size == len({mark for t in text for mark in re.findall(r"\w+|[^\w\s]", t)})
    assert counts.bytes == sum(len(t.encode()) for t in text)
    assert [row.size for row in rows if row.picked] == [384]
    for row in rows:
        assert row.bytes_per_token == pytest.approx(counts.bytes / row.tokens)
        assert row.tokens_per_word == pytest.approx(row.tokens / counts.words)


def test_the_embedding_is_the_share_of_the_decoder_that_stage_5_would_build(made):
    from pipeline.training import auto
    from transformer.decoder import Decoder

    _, rows = rows_of(made, [300])
    row = next(row for row in rows if row.size == 300)
    config = auto.model_config(Workspace(made).settings.model, row.tokens, 305, 0)
    sizes = {name: p.numel() for name, p in Decoder(config).named_parameters()}
    assert row.embedding == pytest.approx(sizes["tokens.weight"] / sum(sizes.values()))


def test_a_text_without_pairs_for_more_says_so(made):
    counts, rows = rows_of(made, [512, 300_000, 400_000])
    pairs = [row for row in rows if row.level == "byte pairs"]
    assert len({row.size for row in pairs}) == len(pairs)
    assert pairs[-1].size < 300_000
    said = " ".join(reasons(rows, counts, [400_000], Workspace(made).settings))
    assert "auto picks 384" in said
    assert "up to 50 kB" in said
    assert f"pairs for no more than {pairs[-1].size:,} tokens" in said


def test_of_a_long_text_the_beginning_is_measured(made, monkeypatch):
    monkeypatch.setattr(tokenizer_figures, "MAX_BYTES", 5_000)
    counts, rows = rows_of(made, [300])
    assert 4_000 < counts.bytes <= 5_000 < counts.total_bytes
    said = reasons(rows, counts, [300], Workspace(made).settings)
    assert said[-1].startswith("Measured on the first 4.")


def test_compare_shows_a_table_draws_a_plot_and_leaves_the_stages_up_to_date(made, capsys):
    assert main(["tokenizer", "--compare", "300,512", "--workspace", str(made)]) == 0
    shown = capsys.readouterr().out
    for words in ("letters", "tokens/word", "bytes/token", "embedding", "← auto", "auto picks 384"):
        assert words in shown
    assert "T|e|x|t|␣|e|n" in shown
    assert (made / "3_tokenizer/compare.png").read_bytes().startswith(b"\x89PNG")
    assert all(why(Workspace(made), stage) is None for stage in STAGES[:3])


def test_compare_takes_a_sentence_and_a_new_corpus(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("book.txt").write_text("one two three two one\n" * 400, encoding="utf-8")
    given = ["--corpus", "book.txt", "--show", "one two [b]x"]
    assert main(["tokenizer", "--compare", "300", *given]) == 0
    shown = capsys.readouterr().out
    assert "one|␣two|␣|[|b|]|x" in shown
    assert not Path("workspaces/book", TOKENIZER).exists()


def test_the_stage_runs_by_its_name_alone_and_with_others(made, capsys):
    assert main(["tokenizer", "encode", "--workspace", str(made)]) == 0
    shown = capsys.readouterr().out
    assert "3 tokenizer" in shown
    assert "4 encode" in shown


def test_looking_goes_with_no_other_stage(made, capsys):
    assert main(["tokenizer", "encode", "--show", "x", "--workspace", str(made)]) == 2
    assert "no other stage" in capsys.readouterr().err


@pytest.mark.parametrize("sizes", ["", "a", "512,", "255", "512,2000000", "-1"])
def test_sizes_that_no_vocabulary_has_are_refused(sizes, made, capsys):
    assert main(["tokenizer", f"--compare={sizes}", "--workspace", str(made)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_sizes_are_put_in_order():
    assert parse_sizes("512, 300,512") == [300, 512]


def test_without_a_workspace_or_a_tokenizer_one_line_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def refused(*words):
        assert main(["tokenizer", *words]) == 2
        line = capsys.readouterr().err
        assert line.count("\n") == 1
        return line

    assert "no workspace yet" in refused("--show", "x")
    assert "no workspace yet" in refused("--compare", "512")
    Path("chat.txt").write_text(chat_lines(40), encoding="utf-8")
    assert main(["1", "--export", "chat.txt", "--persona", "Ben"]) == 0
    assert "`python -m pipeline 1-3`" in refused("--show", "x")
    assert "out of date: it has not been run yet" in refused("--compare", "512")
    assert main(["2-3"]) == 0
    Path("workspaces/ben", TOKENIZER).write_text("{", encoding="utf-8")
    assert "not JSON" in refused("--show", "x")


def test_show_gives_tokens_ids_and_every_merge(made, capsys):
    text = "no idea lol, 🐋 good"
    assert main(["tokenizer", "--show", text, "--workspace", str(made)]) == 0
    shown = capsys.readouterr().out
    tokenizer = minbpe.load(made / TOKENIZER)
    ids = tokenizer.encode(text)
    assert f"{len(ids)} tokens for 4 words and {len(text.encode())} bytes" in shown
    assert " ".join(map(str, ids)) in " ".join(shown.split())
    assert all(why(Workspace(made), stage) is None for stage in STAGES[:3])
    idea = shown[shown.index("\n␣idea\n") :].split("\n\n")[0].splitlines()[2:]
    assert idea[0].strip() == "␣|i|d|e|a"
    joined = [re.split(r" {2,}", line.strip()) for line in idea[1:]]
    for state, made_by in joined:
        parts, new = made_by.rsplit(" → ", 1)
        left, right = parts.split(" + ")
        assert left + right in state.split("|")
        assert tokenizer.vocab[int(new)] == (left + right).replace("␣", " ").encode()


@pytest.mark.parametrize("content", [gpt2_like(), llama_like()], ids=["byte-level", "fallback"])
def test_show_works_for_somebody_elses_tokenizer(content, made, tmp_path, console):
    tokenizer = PretrainedTokenizer(dump_json(content))
    (tmp_path / "3_tokenizer").mkdir()
    minbpe.save(tokenizer, tmp_path / TOKENIZER)
    (tmp_path / "workspace.toml").write_bytes((made / "workspace.toml").read_bytes())
    show(Workspace(tmp_path), "the hell дом", Screen(console))
    shown = console.file.getvalue()
    for token_id in tokenizer.encode("the hell дом"):
        assert str(token_id) in shown
    assert "h + e → " in shown


@pytest.mark.parametrize("text", ["", "the cat", "aaaaaaa", "дом 🙂"])
def test_the_last_step_is_the_tokens(text):
    ours = RegexTokenizer.train("the the cat cat aaaa aaaa дом дом", 290)
    theirs = PretrainedTokenizer(dump_json(gpt2_like()))
    for tokenizer in (ours, theirs):
        for token_id in tokenizer.encode(text):
            steps = [ids for ids, _ in Replay(tokenizer).steps([token_id])]
            assert steps[-1] == [token_id]
            assert all(len(tokenizer.vocab[i]) == 1 for i in steps[0])


def test_a_sample_of_nothing_is_one_line(tmp_path, capsys):
    book = tmp_path / "book.txt"
    book.write_text(BOOK, encoding="utf-8")
    given = ["--corpus", str(book), "--workspace", str(tmp_path / "space")]
    assert main(["tokenizer", "--compare", "512", *given, "--set", "tokenizer.sample=0.0001"]) == 2
    assert "choose a larger fraction" in capsys.readouterr().err
