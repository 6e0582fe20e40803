"""What training costs, in floating point operations."""

from __future__ import annotations

from torch import Tensor

from pipeline.training.adapters.nf4 import NF4Linear
from transformer.decoder import Decoder


def per_token(model: Decoder) -> float:
    """Operations for one token of training: forward, and backward to weights and activations.

    Two for every weight in a matrix product, twice that backward, of which a frozen weight needs
    half; and the scores of attention, as if nothing were masked, so that the figure compares with
    others' (Chowdhery et al. 2022, "PaLM", appendix B).
    """
    config = model.config
    products: list[Tensor] = [
        p for n, p in model.named_parameters() if p.dim() == 2 and n.startswith("blocks.")
    ]
    products.append(model.unembed_weight)
    weights = sum(p.numel() * (6 if p.requires_grad else 4) for p in products)
    packed = (m for m in model.modules() if isinstance(m, NF4Linear))
    weights += sum(4 * layer.in_features * layer.out_features for layer in packed)
    return weights + 12 * config.layers * config.heads * config.head_size * config.block
