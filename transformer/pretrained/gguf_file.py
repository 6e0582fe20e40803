"""A GGUF file, as llama.cpp keeps models: options, and tensors in blocks of few bits.

The package `gguf` turns the blocks into numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from transformer.io import WeightsError, damaged
from transformer.packages import install
from transformer.positions import llama3_scaling
from transformer.pretrained.families import config_of
from transformer.pretrained.gguf import NotGgufError, TensorEntry, Value, read_header
from transformer.pretrained.options import Options, shown
from transformer.pretrained.tensor_names import GGUF

if TYPE_CHECKING:
    from gguf import GGMLQuantizationType

PACKAGE = "gguf==0.19.0"
CHUNK = 1 << 23  # numbers that are dequantized together: 32 MiB as float32

_ARCHITECTURES = ("llama", "qwen2", "qwen3")
_OPTIONS = {  # a field, after the name of the architecture, and the same in config.json
    "context_length": "max_position_embeddings",
    "embedding_length": "hidden_size",
    "block_count": "num_hidden_layers",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "attention.sliding_window": "sliding_window",
    "rope.freq_base": "rope_theta",
}
_NOT_SCALED = (None, "none")
_ROPE = "rope_freqs.weight"  # Llama 3's scaling; the settings behind it are not in the file
_LLAMA3 = {
    "rope_type": "llama3",
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


class GgufFile:
    """An open GGUF file: its fields as a config, and its tensors by name, dequantized when read.

    What is stored in blocks of few bits counts as float32, as which the blocks are defined. Raises
    `WeightsError` for what is damaged or not supported, or without the package `gguf`.
    """

    def __init__(self, where: Path) -> None:
        self.where = where
        self._package = _package()
        self._file = where.open("rb")
        try:
            fields, self._tensors = self._header()
            self.shapes = {name: tensor.shape for name, tensor in self._tensors.items()}
            kind, self.config = config_of(self._options(fields))
            self._check_rope_factors()
        except BaseException:
            self.close()
            raise
        self.naming = GGUF._replace(interleaved=kind == "llama")

    def close(self) -> None:
        self._file.close()

    def dtype(self, name: str) -> torch.dtype:
        known = {"F16": torch.float16, "BF16": torch.bfloat16}
        return known.get(self._kind(name).name, torch.float32)

    def chunks(self, name: str, together: int = 1) -> Iterator[Tensor]:
        """The rows of a tensor as float32, a multiple of `together` at a time."""
        tensor = self._tensors[name]
        rows = tensor.shape[0] if len(tensor.shape) > 1 else 1
        step = max(CHUNK * rows // math.prod(tensor.shape) // together, 1) * together
        self._file.seek(tensor.start)
        for row in range(0, rows, step):
            shape = min(step, rows - row), tensor.size // rows
            data = np.fromfile(self._file, np.uint8, math.prod(shape)).reshape(shape)
            try:
                numbers = self._package.dequantize(data, self._kind(name))
            except NotImplementedError as error:
                raise WeightsError(
                    f"{self.where}: the package gguf cannot read {self._kind(name).name} ({name})"
                ) from error
            yield torch.from_numpy(numbers)

    def _kind(self, name: str) -> GGMLQuantizationType:
        kind: GGMLQuantizationType = self._package.GGMLQuantizationType(self._tensors[name].kind)
        return kind

    def _header(self) -> tuple[dict[str, Value], dict[str, TensorEntry]]:
        try:
            size = self.where.stat().st_size
            return read_header(self._file, size, self._package.GGML_QUANT_SIZES)
        except NotGgufError as error:
            raise WeightsError(f"{self.where} {error}: give a .gguf or a model's folder") from error
        except ValueError as error:
            raise WeightsError(damaged(self.where)) from error

    def _options(self, fields: dict[str, Value]) -> Options:
        """The fields as the options of a config.json."""
        arch = fields.get("general.architecture")
        values: dict[str, object] = {
            theirs: fields.get(f"{arch}.{key}") for key, theirs in _OPTIONS.items()
        }
        options = Options(values, self.where)
        values["model_type"] = arch
        if arch not in _ARCHITECTURES:
            known = ", ".join(_ARCHITECTURES)
            raise options.error(f"architecture {shown(arch)} is not supported, only {known}")
        values["num_local_experts"] = fields.get(f"{arch}.expert_count") or None
        values["tie_word_embeddings"] = "output.weight" not in self.shapes
        values["attention_bias"] = "blk.0.attn_output.bias" in self.shapes
        values["mlp_bias"] = "blk.0.ffn_down.bias" in self.shapes
        values["vocab_size"] = self.shapes.get("token_embd.weight", (None,))[0]
        scaling = fields.get(f"{arch}.rope.scaling.type")
        if scaling not in _NOT_SCALED:
            values["rope_scaling"] = {"rope_type": scaling}
        if _ROPE in self.shapes:
            values["rope_scaling"] = {**_LLAMA3, "factor": float(self._rope_factors().max())}
        heads = options.size("num_attention_heads")
        head = options.size("head_dim", options.size("hidden_size") // heads)
        for key in ("attention.value_length", "rope.dimension_count"):
            if fields.get(f"{arch}.{key}") not in (None, head):
                raise options.error(
                    f"{key} other than the size of a head, {head}, is not supported"
                )
        return options

    def _rope_factors(self) -> Tensor:
        """By how much the angle per token of each pair is divided."""
        return torch.cat([factors.double().flatten() for factors in self.chunks(_ROPE)])

    def _check_rope_factors(self) -> None:
        """Refuse factors that Llama 3's scaling does not give."""
        if _ROPE in self.shapes:
            size = self.config.head_size
            angle = self.config.rope_base ** -(torch.arange(0, size, 2).double() / size)
            expected, factors = angle / llama3_scaling(self.config)(angle), self._rope_factors()
            if factors.shape != expected.shape or not torch.allclose(factors, expected, rtol=1e-3):
                raise WeightsError(f"{self.where}: {_ROPE} is not Llama 3's and not supported")


def _package() -> ModuleType:
    try:
        import gguf
    except ImportError as error:
        raise WeightsError(
            f"a GGUF file needs another package: run `{install(PACKAGE)}`"
        ) from error
    return gguf
