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
                **THEIRS,
                num_key_value_heads=kv_heads,
                tie_word_embeddings=tied,
            )
        )
    )
    config = ModelConfig(
        **OURS,
        kv_heads=kv_heads,
        tied=tied,
    )
    decoder = Decoder(config).eval()
    decoder.load_state_dict(named(peer.state_dict(), together))
    agree(peer, decoder)


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


def together(theirs):
    """Queries, keys and values in one matrix."""
    qkv = [theirs[f"{part}_proj.weight"] for part in "qkv"]
    return {"qkv.weight": torch.cat(qkv), "out.weight": theirs["o_proj.weight"]}


def test_mistral_whose_window_is_the_local_pattern():
    peer = spread(
        transformers.MistralForCausalLM(
            transformers.MistralConfig(
                **THEIRS,
                num_key_value_heads=2,
                head_dim=C // H,
                sliding_window=5,
                tie_word_embeddings=True,
            )
        )
    )
    config = ModelConfig(
        **OURS,
        kv_heads=2,
        pattern="local",
        window=5,
    )
    decoder = Decoder(config).eval()
    decoder.load_state_dict(named(peer.state_dict(), together))
    agree(peer, decoder)


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
