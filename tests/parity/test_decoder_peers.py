"""The same weights in transformers' models and in ours give the same logits, plain and cached."""

from __future__ import annotations

import os
import warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
import torch

from transformer.config import ModelConfig
from transformer.decoder import Decoder

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    transformers = pytest.importorskip("transformers", reason="parity needs transformers")

pytestmark = pytest.mark.parity
V, C, L, H, BLOCK = 60, 32, 2, 4, 24


def agree(peer, decoder):
    """Logits of the peer for ids, of ours in one pass, and of ours token by token."""
    ids = torch.randint(V, (2, BLOCK), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = peer(ids).logits
        torch.testing.assert_close(decoder(ids), expected, atol=1e-4, rtol=1e-4)
        cache = decoder.new_cache()
        steps = torch.cat([decoder(one, cache) for one in ids.split(1, dim=1)], dim=1)
        torch.testing.assert_close(steps, expected, atol=1e-4, rtol=1e-4)
    assert expected.std() > 0.1


def spread(model):
    """Weights far enough from their small start to make a difference in the logits."""
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.2)
    return model.eval()


@pytest.mark.parametrize(("kv_heads", "tied"), [(2, False), (1, True), (4, True)])
def test_llama(kv_heads, tied):
    peer = spread(
        transformers.LlamaForCausalLM(
            transformers.LlamaConfig(
                vocab_size=V,
                hidden_size=C,
                intermediate_size=48,
                num_hidden_layers=L,
                num_attention_heads=H,
                num_key_value_heads=kv_heads,
                max_position_embeddings=BLOCK,
                rms_norm_eps=1e-6,
                tie_word_embeddings=tied,
            )
        )
    )
    config = ModelConfig(
        vocab_size=V,
        block=BLOCK,
        width=C,
        layers=L,
        heads=H,
        kv_heads=kv_heads,
        hidden=48,
        norm_eps=1e-6,
        tied=tied,
    )
    theirs = peer.state_dict()
    ours = {
        "tokens.weight": theirs["model.embed_tokens.weight"],
        "norm.weight": theirs["model.norm.weight"],
    }
    if not tied:
        ours["unembed.weight"] = theirs["lm_head.weight"]
    for n in range(L):
        mine, yours = f"blocks.{n}.", f"model.layers.{n}."
        qkv = [theirs[f"{yours}self_attn.{part}_proj.weight"] for part in "qkv"]
        ours[f"{mine}attention.qkv.weight"] = torch.cat(qkv)
        ours[f"{mine}attention.out.weight"] = theirs[f"{yours}self_attn.o_proj.weight"]
        ours[f"{mine}attention_norm.weight"] = theirs[f"{yours}input_layernorm.weight"]
        ours[f"{mine}feedforward_norm.weight"] = theirs[f"{yours}post_attention_layernorm.weight"]
        for part in ("gate", "up", "down"):
            ours[f"{mine}feedforward.{part}.weight"] = theirs[f"{yours}mlp.{part}_proj.weight"]
    decoder = Decoder(config).eval()
    decoder.load_state_dict(ours)
    agree(peer, decoder)


def test_gpt2():
    peer = spread(
        transformers.GPT2LMHeadModel(
            transformers.GPT2Config(
                vocab_size=V,
                n_positions=BLOCK,
                n_embd=C,
                n_layer=L,
                n_head=H,
                bos_token_id=0,
                eos_token_id=0,
            )
        )
    )
    config = ModelConfig(
        vocab_size=V,
        block=BLOCK,
        width=C,
        layers=L,
        heads=H,
        kv_heads=H,
        position="learned",
        norm="layer",
        feedforward="gelu_tanh",
        bias=True,
    )
    theirs = peer.transformer.state_dict()
    names = {
        "ln_1": "attention_norm",
        "attn.c_attn": "attention.qkv",
        "attn.c_proj": "attention.out",
        "ln_2": "feedforward_norm",
        "mlp.c_fc": "feedforward.up",
        "mlp.c_proj": "feedforward.down",
    }
    ours = {
        "tokens.weight": theirs["wte.weight"],
        "position.table.weight": theirs["wpe.weight"],
        "norm.weight": theirs["ln_f.weight"],
        "norm.bias": theirs["ln_f.bias"],
    }
    for n in range(L):
        for yours, mine in names.items():
            weight = theirs[f"h.{n}.{yours}.weight"]
            # GPT-2 keeps its matrices (in, out).
            ours[f"blocks.{n}.{mine}.weight"] = weight.t() if weight.dim() == 2 else weight
            ours[f"blocks.{n}.{mine}.bias"] = theirs[f"h.{n}.{yours}.bias"]
    decoder = Decoder(config).eval()
    decoder.load_state_dict(ours)
    agree(peer, decoder)
