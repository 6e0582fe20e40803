"""From text to logits: the ids, and the shape after every part."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn

from pipeline.dialogue.windows import padded
from pipeline.explain import Asked
from pipeline.explain.lesson import Lesson, Table
from pipeline.explain.tiny import encoded, sample_tokenizer, shown
from pipeline.explain.watch import shapes
from transformer.block import FeedForward, PreNorm
from transformer.decoder import Decoder
from transformer.presets import preset

PRESET = "gpt2-lecture"
SENTENCES = ("Good morning, Nour", "The soup was good")


def rows(texts: tuple[str, ...]) -> tuple[list[list[int]], Tensor]:
    """The ids of each text, and all of them as rows of one length (B, T), filled up with -1."""
    found = [encoded(sample_tokenizer(), text, preset(PRESET).block) for text in texts]
    longest = max(map(len, found))
    return found, torch.tensor([padded(ids, longest, "right") for ids in found])


def parts(decoder: Decoder) -> dict[str, nn.Module]:
    """The parts of a decoder in the order of a pass, those of the first layer one by one."""
    first, last = (cast(PreNorm, decoder.blocks[n]) for n in (0, -1))
    wide = cast(FeedForward, first.feedforward)
    attention = cast(Any, first.attention)
    return {
        "embedding": decoder.tokens,
        "and positions": decoder.dropout,
        "1: norm": first.attention_norm,
        "1: queries, keys, values": attention.qkv,
        "1: attention": attention.out,
        "1: second norm": first.feedforward_norm,
        "1: feed-forward, wide": wide.up,
        "1: feed-forward": wide.down,
        "layer 1": first,
        f"layer {len(decoder.blocks)}": last,
        "last norm": decoder.norm,
    }


def explain(asked: Asked) -> Lesson:
    """The pass of `PRESET` with random weights over the user's texts, or over two of ours."""
    texts = asked.texts or SENTENCES
    found, ids = rows(texts)
    decoder = Decoder(preset(PRESET), torch.Generator().manual_seed(0)).eval()
    results = {"ids": ids, **shapes(decoder, ids, parts(decoder))}
    logits = results["logits"]
    config = decoder.config
    nats = -logits.log_softmax(-1).mean().item()
    tokenizer = sample_tokenizer()
    return Lesson(
        f"Forward: from text to logits {tuple(logits.shape)}",
        (
            f"A pass of {PRESET}, a decoder of GPT-2's smallest size with "
            f"{sum(p.numel() for p in decoder.parameters()):,} parameters: a head of its own, no "
            "bias on queries, keys and values. Its weights are random, so its logits mean "
            "nothing yet; their shape is all there is to see.",
            Table.of(
                "The ids",
                "text | token | id",
                (
                    (number, token, i)
                    for number, row in enumerate(found, 1)
                    for token, i in zip(shown(tokenizer, row), row, strict=True)
                ),
                left=2,
            ),
            "The ids are those of a small tokenizer of this project, learned just now from the "
            f"sample chats ({tokenizer.size:,} tokens, cut by GPT-2's pattern). GPT-2's own table "
            "of 50,257 is not part of the project; for shapes any id below that number will do. "
            "Shorter rows are filled up with -1, which is hidden from all others.",
            Table.of("The shape after every part", "part | shape | numbers", _shapes(results), 2),
            f"B = {len(ids)} rows, T = {ids.size(1)} tokens, C = {config.width} numbers a token, "
            f"V = {config.vocab_size:,} tokens in the vocabulary. Queries, keys and values are "
            f"three times C, cut into {config.heads} heads of {config.head_size}; only there "
            "do tokens see each other. Every layer gives back the shape it got, so any "
            "number of them can follow. The logits at a token are about the next one.",
            f"Each of the {config.vocab_size:,} tokens gets about the same share. "
            f"Over all that might follow, the loss is {nats:.2f} nats on average; a blind guess "
            f"is ln {config.vocab_size:,} = {math.log(config.vocab_size):.2f}.",
        ),
        lambda figure: _draw(figure, results),
        (9.0, 4.8),
        (
            "Radford et al. 2019, Language Models are Unsupervised Multitask Learners, section "
            "2.3; Vaswani et al. 2017, arXiv 1706.03762.",
            "Code: transformer/decoder.py, block.py, attention.py.",
        ),
    )


def _shape(tensor: Tensor) -> str:
    return f"({', '.join(map(str, tensor.shape))})"


def _shapes(results: dict[str, Tensor]) -> list[tuple[str, str, str]]:
    return [(name, _shape(x), f"{x.numel():,}") for name, x in results.items()]


def _draw(figure: Any, results: dict[str, Tensor]) -> None:
    from pipeline.explain.plots import BLUE, GREY

    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    names = list(results)
    for at, (name, result) in enumerate(results.items()):
        wide = result.size(-1) if result.dim() > 2 else 1
        length = math.log10(wide) + 0.35
        inside = name.startswith("1:")
        left.barh(at, length, color="white" if inside else BLUE, edgecolor=BLUE, alpha=0.8)
        left.text(length + 0.08, at, _shape(result), va="center", fontsize=8)
    left.set(title="The shape after every part (bars: numbers a token, log scale)", xlim=(0, 7))
    left.set_yticks(range(len(names)), names)
    left.set_xticks([])
    left.spines[["bottom"]].set_visible(False)
    left.invert_yaxis()
    right.hist(results["logits"].flatten().numpy(), bins=80, color=GREY)
    right.set(title=f"All {results['logits'].numel():,} logits", xlabel="logit", yticks=[])
