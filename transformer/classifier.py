"""A decoder that names the class of a text: one linear layer on the state of its last token.

Causality lets only the last token see the whole text, so its state is what the head reads (Radford
et al. 2018, "Improving language understanding by generative pre-training", section 3.2; Raschka
2024, "Build a Large Language Model (From Scratch)", chapter 6).

A folder holds the decoder as io.py saves it, and beside it the head: `head.json` and
`head.safetensors`.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from transformer import io
from transformer.decoder import Decoder
from transformer.io import (
    CONFIG,
    WEIGHTS,
    WeightsError,
    as_json,
    as_safetensors,
    damaged,
    read_json,
    replace,
)

HEAD_CONFIG = "head.json"
HEAD_WEIGHTS = "head.safetensors"


class Classifier(nn.Module):
    """`decoder` with a head of `classes` logits, drawn at random as the decoder's weights are."""

    def __init__(
        self, decoder: Decoder, classes: int, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        if classes < 2:
            raise ValueError(f"{classes} classes leave nothing to tell apart: give 2 or more")
        self.decoder = decoder
        like = decoder.tokens.weight
        self.head = nn.Linear(decoder.config.width, classes, device=like.device, dtype=like.dtype)
        with torch.no_grad():
            weight = torch.empty(self.head.weight.shape).normal_(std=0.02, generator=generator)
            self.head.weight.copy_(weight)
            self.head.bias.zero_()

    @property
    def classes(self) -> int:
        return self.head.out_features

    def forward(self, ids: Tensor) -> Tensor:
        """Logits (B, classes) of texts (B, T); padding is any negative id, on either side.

        Raises ValueError when a row has more tokens than the decoder's block, or none.
        """
        hidden = self.decoder.hidden(ids)  # (B, T, C)
        rows = torch.arange(len(ids), device=ids.device)
        logits: Tensor = self.head(hidden[rows, last_token(ids)])
        return logits


def last_token(ids: Tensor) -> Tensor:
    """The index of the last token of each row (B, T) that is not padding: (B,)."""
    is_token = ids >= 0
    if not is_token.any(dim=1).all():
        raise ValueError("a text without tokens has no class: give each row at least one")
    index = torch.arange(ids.size(1), device=ids.device)
    return index.where(is_token, -1).amax(dim=1)


def save(classifier: Classifier, folder: Path) -> None:
    """Write decoder and head into `folder`, created if need be: all files or none."""
    decoder = classifier.decoder
    replace(
        folder,
        {
            HEAD_WEIGHTS: as_safetensors(classifier.head.state_dict()),
            HEAD_CONFIG: as_json({"classes": classifier.classes}),
            WEIGHTS: as_safetensors(decoder.state_dict()),
            CONFIG: as_json(decoder.config.to_dict()),
        },
    )


def load(folder: Path) -> Classifier:
    """The classifier saved in `folder`, on the CPU and ready to use. Raises `WeightsError`."""
    classes = read_json(folder / HEAD_CONFIG).get("classes")
    if type(classes) is not int or classes < 2:
        raise WeightsError(damaged(folder / HEAD_CONFIG))
    classifier = Classifier(io.load(folder), classes)
    weights = io.read_weights(folder / HEAD_WEIGHTS)
    io.check_weights(weights, classifier.head.state_dict(), folder / HEAD_WEIGHTS, HEAD_CONFIG)
    classifier.head.load_state_dict(weights)
    return classifier.eval()
