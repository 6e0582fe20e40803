"""The same merges as rustbpe; the same ids as `tokenizers` and tiktoken from our merges."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minbpe
from minbpe import BasicTokenizer, RegexTokenizer
from minbpe.encoder import with_tiktoken
from minbpe.regex import PATTERNS

rustbpe = pytest.importorskip("rustbpe")
tiktoken = pytest.importorskip("tiktoken")
tokenizers = pytest.importorskip("tokenizers")

pytestmark = pytest.mark.parity
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

SHAKESPEARE = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "tinyshakespeare.txt"
SPECIAL = ["<|startoftext|>", "<|endoftext|>", "<|ende🙂|>"]
FIVE_SCRIPTS = """\
Anna: did you feed the cat? She's been crying since 7:45, and I've already missed the bus!!
Ben: yes, yes... I fed her twice :) she's lying to you. She always lies when you're late.
Анна: Кошка опять сидит на подоконнике и смотрит на птиц. Птицы смотрят на кошку.
Борис: Завтра купим ей новый корм, старый она больше не ест, да и птицы его не едят.
آنا: القطة نائمة على الكرسي، والكرسي كان لي. أين أجلس الآن؟
باسم: اجلسي على الأرض، فالقطة لا تحب أن يوقظها أحد قبل الساعة ١٢.
अन्ना: बिल्ली फिर से खिड़की पर बैठी है और बारिश देख रही है।
विजय: बारिश रुकने पर बिल्ली बाहर जाएगी, और फिर तुरंत अंदर आना चाहेगी।
安娜：猫又睡在我的键盘上了，今天我没办法工作。
小明：那就让猫替你工作吧，猫打字比你快，三个小时打了3000个字。😂😂👍🏽
Anna: 12 345,67 €  —  that's   the vet's bill\t(not a joke)\r\n\r\n   love, A. 👩‍👩‍👧
"""

# A character younger than one library's Unicode tables may be split differently there; so only
# those that Python itself knows, whose tables are older than those of the three libraries.
known_text = st.text(st.characters(exclude_categories=["Cs", "Cn"]))
chatty = st.lists(
    st.one_of(
        st.sampled_from([*FIVE_SCRIPTS.split(), " ", "  ", "\n", "\r\n ", "'S", "'ſ", "don't"]),
        st.sampled_from([*"👩👧🏽🇩🇪1#*٣िक्م", "\u200d", "\u200c", "\ufe0f", "\u20e3", "\u064b"]),
        known_text,
        st.text("ab\n ", max_size=30),
    ),
    max_size=10,
).map("".join)


def vocab_of_rustbpe(texts, vocab_size, pattern):
    peer = rustbpe.Tokenizer()
    peer.train_from_iterator(iter(texts), vocab_size, pattern=PATTERNS[pattern])
    return [bytes(token) for token, _ in sorted(peer.get_mergeable_ranks(), key=lambda row: row[1])]


def hugging_face(tokenizer, folder):
    """`tokenizers` with our file, told that text is not control."""
    minbpe.save(tokenizer, folder / "tokenizer.json")
    peer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    peer.encode_special_tokens = True
    return peer


def openai(tokenizer):
    return tiktoken.Encoding(
        "ours",
        pat_str=PATTERNS[tokenizer.pattern],
        mergeable_ranks={token: token_id for token_id, token in tokenizer.vocab.items()},
        special_tokens=tokenizer.special,
    )


@pytest.fixture(scope="module", params=list(PATTERNS))
def trio(request, tmp_path_factory):
    """Our tokenizer and the same one in each of the two libraries."""
    ours = RegexTokenizer.train(FIVE_SCRIPTS, 700, request.param, SPECIAL)
    return ours, hugging_face(ours, tmp_path_factory.mktemp("peers")), openai(ours)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_same_merges_as_rustbpe_in_five_scripts(pattern):
    texts = FIVE_SCRIPTS.splitlines(keepends=True)
    expected = vocab_of_rustbpe(texts, 4000, pattern)
    assert len(expected) > 600
    assert list(RegexTokenizer.train(texts, 4000, pattern).vocab.values()) == expected


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_same_merges_as_rustbpe_on_tinyshakespeare(pattern):
    if not SHAKESPEARE.exists():
        pytest.skip(f"needs {SHAKESPEARE.name} in ../shared/data")
    text = SHAKESPEARE.read_text(encoding="utf-8")
    expected = vocab_of_rustbpe([text], 1024, pattern)
    assert list(RegexTokenizer.train(text, 1024, pattern).vocab.values()) == expected


@patient
@given(st.lists(st.text("ab '1\n", max_size=60), max_size=5))
def test_the_same_merges_as_rustbpe_when_ties_are_everywhere(texts):
    ours = RegexTokenizer.train(texts, 320, "gpt4")
    assert list(ours.vocab.values()) == vocab_of_rustbpe(texts, 320, "gpt4")


@pytest.mark.parametrize("workers", [1, 2])
def test_the_same_merges_as_rustbpe_with_long_runs_and_equal_counts(workers):
    draw = random.Random(11)
    texts = ["a" * 30_000, "ab" * 9_000, "aab" * 5_000, "!" * 4_097, "abcd" * 1_000, "dcba" * 1_000]
    texts += ["".join(draw.choices("abc", k=draw.randint(1, 9))) for _ in range(3_000)]
    expected = vocab_of_rustbpe(texts, 1500, "gpt4")
    assert len(expected) > 1000
    assert (
        list(RegexTokenizer.train(texts, 1500, "gpt4", workers=workers).vocab.values()) == expected
    )


def test_the_peers_agree_on_a_megabyte_of_one_letter(trio):
    ours, face, tik = trio
    for letter in ("a", "e", "!", "я"):
        text = letter * (1_000_000 // len(letter.encode()))
        ids = ours.encode(text)
        assert tik.encode_ordinary(text) == ids
        assert with_tiktoken(ours).encode(text) == ids
        assert face.encode(text).ids == ids


def test_the_peers_agree_on_the_passage(trio):
    ours, face, tik = trio
    ids = ours.encode(FIVE_SCRIPTS)
    assert len(ids) < len(FIVE_SCRIPTS)
    assert face.encode(FIVE_SCRIPTS).ids == ids
    assert tik.encode_ordinary(FIVE_SCRIPTS) == ids
    assert face.decode(ids) == tik.decode(ids) == FIVE_SCRIPTS


def test_the_peers_agree_on_any_text(trio):
    ours, face, tik = trio

    @patient
    @given(st.one_of(known_text, chatty))
    def agree(text):
        ids = ours.encode(text)
        assert face.encode(text).ids == ids
        assert tik.encode_ordinary(text) == ids
        assert bulk.encode(text) == ids

    bulk = with_tiktoken(ours)
    agree()


def test_the_peers_agree_on_special_tokens(trio):
    ours, face, tik = trio
    text = "a<|endoftext|> b<|ende🙂|><|startoftext|>\n"
    ids = ours.encode(text, allowed_special=SPECIAL)
    assert set(ids) >= set(ours.special.values())
    assert tik.encode(text, allowed_special=set(SPECIAL)) == ids
    face.encode_special_tokens = False
    assert face.encode(text).ids == ids
    face.encode_special_tokens = True
    assert {name: face.token_to_id(name) for name in SPECIAL} == ours.special
    assert face.get_vocab_size() == tik.n_vocab == ours.size


def test_surrogates_are_read_as_tiktoken_reads_them(trio):
    ours, _, tik = trio

    @patient
    @given(st.text(st.sampled_from("a é🙂\ufeff\ud83d\ude42\udc80")))
    def agree(text):
        assert ours.encode(text) == tik.encode(text, disallowed_special=())

    agree()


@pytest.mark.parametrize(
    "tokenizer",
    [
        RegexTokenizer(),
        RegexTokenizer.train(FIVE_SCRIPTS, 400, "gpt4", SPECIAL),
        RegexTokenizer.train(FIVE_SCRIPTS, 400, "gpt2"),
        RegexTokenizer.train(FIVE_SCRIPTS, 400, "scripts"),
        BasicTokenizer.train(FIVE_SCRIPTS, 280),
    ],
    ids=["bytes", "gpt4", "gpt2", "scripts", "basic"],
)
def test_a_file_that_tokenizers_wrote_again_is_still_ours(tokenizer, tmp_path):
    face = hugging_face(tokenizer, tmp_path)
    ours = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    assert json.loads(face.to_str()) == ours
    face.save(str(tmp_path / "again.json"))
    again = minbpe.load(tmp_path / "again.json")
    ids = again.encode(FIVE_SCRIPTS)
    assert ids == tokenizer.encode(FIVE_SCRIPTS)
    assert ids == face.encode(FIVE_SCRIPTS).ids
