"""Latent attention with DeepSeek's weights gives DeepSeek's logits, plain and cached.

No published family of ours has it, so the weights are carried over here, by hand.
"""

from __future__ import annotations

import os
import warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
import torch
from peers import agree, spread

from transformer.config import ModelConfig
from transformer.decoder import Decoder

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    transformers = pytest.importorskip("transformers", reason="parity needs transformers")

pytestmark = pytest.mark.parity
V, C, L, H, BLOCK = 60, 32, 2, 4, 24
THEIRS = {
    "vocab_size": V,
    "hidden_size": C,
    "intermediate_size": 48,
    "num_hidden_layers": L,
    "num_attention_heads": H,
    "max_position_embeddings": BLOCK,
    "rms_norm_eps": 1e-6,
}
OURS = {
    "vocab_size": V,
    "block": BLOCK,
    "width": C,
    "layers": L,
    "heads": H,
    "hidden": 48,
    "norm_eps": 1e-6,
}


def named(theirs, attention):
    """Weights of a Llama or its kin under our names; `attention` gives those of one layer's."""
    ours = {
        "tokens.weight": theirs["model.embed_tokens.weight"],
        "norm.weight": theirs["model.norm.weight"],
        "unembed.weight": theirs["lm_head.weight"],
    }
    if torch.equal(ours["unembed.weight"], ours["tokens.weight"]):
        del ours["unembed.weight"]
    for n in range(L):
        mine, yours = f"blocks.{n}.", f"model.layers.{n}."
        heads = {
            name.removeprefix(f"{yours}self_attn."): weight
            for name, weight in theirs.items()
            if name.startswith(f"{yours}self_attn.")
        }
        ours |= {f"{mine}attention.{name}": weight for name, weight in attention(heads).items()}
        ours[f"{mine}attention_norm.weight"] = theirs[f"{yours}input_layernorm.weight"]
        ours[f"{mine}feedforward_norm.weight"] = theirs[f"{yours}post_attention_layernorm.weight"]
        for part in ("gate", "up", "down"):
            ours[f"{mine}feedforward.{part}.weight"] = theirs[f"{yours}mlp.{part}_proj.weight"]
    return ours


def test_deepseek_whose_attention_is_latent():
    """Its pairs that are turned are neighbours, ours lie half a head apart."""
    R = 6
    peer = spread(
        transformers.DeepseekV3ForCausalLM(
            transformers.DeepseekV3Config(
                **THEIRS,
                first_k_dense_replace=L,
                num_key_value_heads=H,
                q_lora_rank=20,
                kv_lora_rank=24,
                qk_rope_head_dim=R,
                qk_nope_head_dim=8,
                v_head_dim=8,
                tie_word_embeddings=True,
            )
        )
    )
    config = ModelConfig(
        **OURS,
        attention="latent",
        query_latent=20,
        kv_latent=24,
        rope_head=R,
    )
    apart = [*range(0, R, 2), *range(1, R, 2)]

    def latent(theirs):
        q = theirs["q_b_proj.weight"].view(H, 8 + R, -1)
        q = torch.cat((q[:, :8], q[:, 8:][:, apart]), dim=1).flatten(0, 1)
        down = theirs["kv_a_proj_with_mqa.weight"]
        down = torch.cat((theirs["q_a_proj.weight"], down[:24], down[24:][apart]))
        return {
            "latents.weight": down,
            "query_norm.weight": theirs["q_a_layernorm.weight"],
            "latent_norm.weight": theirs["kv_a_layernorm.weight"],
            "queries.weight": q,
            "keys_values.weight": theirs["kv_b_proj.weight"],
            "out.weight": theirs["o_proj.weight"],
        }

    decoder = Decoder(config).eval()
    decoder.load_state_dict(named(peer.state_dict(), latent))
    agree(peer, decoder)
