"""From text to logits: the ids, and the shape after every part."""

from __future__ import annotations

import math
from typing import cast

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from pipeline.dialogue.windows import padded
from pipeline.explain.decoder_hooks import outputs
from pipeline.explain.figures import BLUE, GREY
from pipeline.explain.lesson import Lesson, Request, Table
from pipeline.explain.tiny_model import encode, sample_tokenizer, token_names
from transformer.attention import Grouped
from transformer.block import PreNorm
from transformer.decoder import Decoder
from transformer.feedforward import FeedForward
from transformer.presets import preset

PRESET = "gpt2-lecture"
SENTENCES = ("Good morning, Nour", "The soup was good")


def rows(texts: tuple[str, ...]) -> tuple[list[list[int]], Tensor]:
    """The ids of each text, and all of them as rows of one length (B, T), padded with -1."""
    ids = [encode(sample_tokenizer(), text, preset(PRESET).block) for text in texts]
    longest = max(map(len, ids))
    return ids, torch.tensor([padded(row, longest, "right") for row in ids])


def parts(decoder: Decoder) -> dict[str, nn.Module]:
    """The parts of a decoder in the order of a pass, with all of those of the first layer."""
    first, last = (cast(PreNorm, decoder.blocks[n]) for n in (0, -1))
    feedforward = cast(FeedForward, first.feedforward)
    attention = cast(Grouped, first.attention)
    return {
        "embedding": decoder.tokens,
        "+ positions": decoder.dropout,
        "1: norm": first.attention_norm,
        "1: queries, keys, values": attention.qkv,
        "1: attention": attention.out,
        "1: second norm": first.feedforward_norm,
        "1: feed-forward, inner": feedforward.up,
        "1: feed-forward": feedforward.down,
        "layer 1": first,
        f"layer {len(decoder.blocks)}": last,
        "final norm": decoder.norm,
    }


def lesson(request: Request) -> Lesson:
    """A pass of `PRESET` with random weights over the user's texts, or over two of ours."""
    rows_of_ids, ids = rows(request.texts or SENTENCES)
    decoder = Decoder(preset(PRESET), torch.Generator().manual_seed(0)).eval()
    results = {"ids": ids, **outputs(decoder, ids, parts(decoder))}
    shapes = {name: f"({', '.join(map(str, x.shape))})" for name, x in results.items()}
    logits, config = results["logits"], decoder.config
    nats = -logits.log_softmax(-1).mean().item()
    tokenizer = sample_tokenizer()
    tokens = [
        (number, name, i)
        for number, row in enumerate(rows_of_ids, 1)
        for name, i in zip(token_names(tokenizer, row), row, strict=True)
    ]
    sizes = [(name, shapes[name], f"{x.numel():,}") for name, x in results.items()]

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
        for y, (name, result) in enumerate(results.items()):
            width = result.size(-1) if result.dim() > 2 else 1
            length = math.log10(width) + 0.35
            fill = "white" if name.startswith("1:") else BLUE
            left.barh(y, length, color=fill, edgecolor=BLUE, alpha=0.8)
            left.text(length + 0.08, y, shapes[name], va="center", fontsize=8)
        title = "The shape after every part (bars: numbers per token, log scale)"
        left.set(title=title, xlim=(0, 7), xticks=[])
        left.set_yticks(range(len(results)), list(results))
        left.spines[["bottom"]].set_visible(False)
        left.invert_yaxis()
        right.hist(logits.flatten().numpy(), bins=80, color=GREY)
        right.set(title=f"All {logits.numel():,} logits", xlabel="logit", yticks=[])

    return Lesson(
        f"Forward: from text to logits {tuple(logits.shape)}",
        (
            f"A forward pass of {PRESET}, a decoder of GPT-2's smallest size with "
            f"{sum(p.numel() for p in decoder.parameters()):,} parameters: its head is separate "
            "from the embedding, and queries, keys and values have no bias. Its weights are "
            "random, so the logits mean nothing yet; only their shape matters here.",
            Table.of("The ids", "text | token | id", tokens, left=2),
            "The ids come from a small tokenizer of this project, trained just now on the sample "
            f"chats ({tokenizer.size:,} tokens, split by GPT-2's pattern). GPT-2's own vocabulary "
            "of 50,257 tokens is not part of the project; for shapes, any smaller id will do. "
            "Shorter rows are padded with -1, which no other token sees.",
            Table.of("The shape after every part", "part | shape | numbers", sizes, left=2),
            f"B = {len(ids)} rows, T = {ids.size(1)} tokens, C = {config.width} numbers per token, "
            f"V = {config.vocab_size:,} tokens in the vocabulary. Queries, keys and values have "
            f"width 3C together and are cut into {config.heads} heads of {config.head_size}. "
            "Attention is the only place where tokens see each other. A layer's output has the "
            "shape of its input, so any number of layers can follow. The logits at a token predict "
            "the next one.",
            f"Each of the {config.vocab_size:,} tokens gets about the same probability. Averaged "
            f"over all possible next tokens the loss is {nats:.2f} nats; a uniform guess has "
            f"ln {config.vocab_size:,} = {math.log(config.vocab_size):.2f}.",
        ),
        draw,
        (9.0, 4.8),
        (
            "Radford et al. 2019, Language Models are Unsupervised Multitask Learners, section "
            "2.3; Vaswani et al. 2017, arXiv 1706.03762.",
            "Code: transformer/decoder.py, block.py, attention.py, feedforward.py.",
        ),
    )
