"""The compiled loops of single.py: one token against weights and a cache where they lie.

For a single token torch spends more time on starting its operations than on the numbers, and its
matrix-vector products use half of the memory's bandwidth. These loops have no such cost. They
work on numpy's views of torch's memory; numbers are float32, and what is stored is float32 or
bfloat16 (uint16 to numpy, the upper half of a float32). numba compiles a loop when it is first
needed, and keeps the result for the next start.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numba
import numpy as np
from numba import prange, types
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Stored = NDArray[Any]  # float32, or bfloat16 as uint16

F32 = np.float32
SERIAL = 1 << 17  # multiplications that one thread finishes before a second one has started


# Sums may be taken in any order, so that eight or sixteen numbers are added at a time; infinities
# and NaN stay what they are.
_FAST = {"reassoc", "contract", "nsz", "arcp", "afn"}


def _njit(function: Any, parallel: bool = False) -> Any:
    """The compiled function, kept on disk where there is a folder that may be written to."""
    njit: Any = numba.njit
    try:
        return njit(cache=True, fastmath=_FAST, parallel=parallel)(function)
    except RuntimeError:
        return njit(fastmath=_FAST, parallel=parallel)(function)


_on_all_cores = partial(_njit, parallel=True)


def _bitcast(source: Any, target: Any) -> Any:
    """The number of one type that has the bits of a number of another."""

    def typed(typing: Any, number: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], context.get_value_type(target))

        return target(source), build

    return intrinsic(typed)


_as_float = _bitcast(types.uint32, types.float32)
_as_bits = _bitcast(types.float32, types.uint32)


def _wide(stored: Any) -> Any:
    """A stored number as float32."""


def _narrow(number: Any, like: Any) -> Any:
    """A float32 as `like` is stored; bfloat16 takes the nearest, of two the even one."""


@overload(_wide, inline="always", strict=False)
def _overload_wide(stored: Any) -> Any:
    if isinstance(stored, types.Float):
        return lambda stored: stored
    return lambda stored: _as_float(np.uint32(stored) << np.uint32(16))


@overload(_narrow, inline="always", strict=False)
def _overload_narrow(number: Any, like: Any) -> Any:
    def rounded(number: Any, like: Any) -> Any:
        bits = _as_bits(number)
        even = (bits >> np.uint32(16)) & np.uint32(1)
        return np.uint16((bits + np.uint32(0x7FFF) + even) >> np.uint32(16))

    return (lambda number, like: number) if isinstance(like, types.Float) else rounded


def add_product(weight: Stored, x: Floats, y: Floats) -> None:
    """y (out,) += W (out, in) x (in,)."""
    _ADD_PRODUCT[weight.size > SERIAL](weight, x, y)


def attend(
    qkv: Floats, keys: Stored, values: Stored, slot: int, filled: int, scale: np.float32, y: Floats
) -> None:
    """Store the keys and values of a token at `slot`, and attend to the first `filled` slots.

    qkv (H + 2 Hkv, D) holds its heads; keys and values (Hkv, slots, D) are the cache; y (H, D).
    """
    _ATTEND[y.size * filled > SERIAL](qkv, keys, values, slot, filled, scale, y)


def _add_product(weight: Stored, x: Floats, y: Floats) -> None:
    for row in prange(weight.shape[0]):
        total = F32(0)
        for column in range(weight.shape[1]):
            total += _wide(weight[row, column]) * x[column]
        y[row] += total


@_njit
def rms_norm(x: Floats, weight: Floats, bias: Floats, eps: float, y: Floats) -> None:
    """y = x / √(mean x² + eps) · w; there is no bias."""
    squares = F32(0)
    for i in range(x.size):
        squares += x[i] * x[i]
    scale = F32(1 / math.sqrt(squares / x.size + eps))
    for i in range(x.size):
        y[i] = x[i] * scale * weight[i]


@_njit
def layer_norm(x: Floats, weight: Floats, bias: Floats, eps: float, y: Floats) -> None:
    """y = (x - mean) / √(variance + eps) · w + b."""
    total = F32(0)
    for i in range(x.size):
        total += x[i]
    mean = F32(total / x.size)
    squares = F32(0)
    for i in range(x.size):
        squares += (x[i] - mean) * (x[i] - mean)
    scale = F32(1 / math.sqrt(squares / x.size + eps))
    for i in range(x.size):
        y[i] = (x[i] - mean) * scale * weight[i] + bias[i]


NORMS: Mapping[str, Callable[..., None]] = {
    "rms": rms_norm,
    "rms_centered": rms_norm,  # given 1 + its weight
    "layer": layer_norm,
}


@_njit
def qk_norm(heads: Floats, weight: Floats, eps: float) -> None:
    """Each head of (H, D) normed in place by its root mean square; weight (H, D)."""
    for h in range(heads.shape[0]):
        squares = F32(0)
        for i in range(heads.shape[1]):
            squares += heads[h, i] * heads[h, i]
        scale = F32(1 / math.sqrt(squares / heads.shape[1] + eps))
        for i in range(heads.shape[1]):
            heads[h, i] *= scale * weight[h, i]


@_njit
def rotate(heads: Floats, turn: Floats) -> None:
    """Turn each head of (H, D) in place by a row (2 D,) of `Rope`'s table."""
    half = heads.shape[1] // 2
    for h in range(heads.shape[0]):
        for i in range(half):
            a, b = heads[h, i], heads[h, half + i]
            heads[h, i] = a * turn[i] + b * turn[2 * half + i]
            heads[h, half + i] = b * turn[half + i] + a * turn[3 * half + i]


def _attend(
    qkv: Floats, keys: Stored, values: Stored, slot: int, filled: int, scale: np.float32, y: Floats
) -> None:
    kv_heads, size = keys.shape[0], keys.shape[2]
    heads = y.shape[0]
    for kv in range(kv_heads):
        for i in range(size):
            keys[kv, slot, i] = _narrow(qkv[heads + kv, i], keys[kv, slot, i])
            values[kv, slot, i] = _narrow(qkv[heads + kv_heads + kv, i], values[kv, slot, i])
    for h in prange(heads):
        kv = h * kv_heads // heads
        scores = np.empty(filled, np.float32)
        largest = F32(-np.inf)
        for s in range(filled):
            score = F32(0)
            for i in range(size):
                score += qkv[h, i] * _wide(keys[kv, s, i])
            scores[s] = score * scale
            largest = max(largest, scores[s])
        total = F32(0)
        for s in range(filled):
            scores[s] = math.exp(scores[s] - largest)
            total += scores[s]
        y[h] = F32(0)
        for s in range(filled):
            weight = scores[s] / total
            for i in range(size):
                y[h, i] += weight * _wide(values[kv, s, i])


# The same loop for one thread and for all.
_ADD_PRODUCT = (_njit(_add_product), _on_all_cores(_add_product))
_ATTEND = (_njit(_attend), _on_all_cores(_attend))


@_njit
def relu(x: Floats) -> None:
    for i in range(x.size):
        x[i] = max(x[i], F32(0))


@_njit
def leaky_relu(x: Floats) -> None:
    for i in range(x.size):
        x[i] = max(x[i], F32(0.01) * x[i])


@_njit
def silu(x: Floats) -> None:
    for i in range(x.size):
        x[i] = x[i] / (F32(1) + math.exp(-x[i]))


@_njit
def gelu(x: Floats) -> None:
    for i in range(x.size):
        x[i] = F32(0.5) * x[i] * (F32(1) + math.erf(x[i] * F32(1 / math.sqrt(2))))


@_njit
def gelu_tanh(x: Floats) -> None:
    for i in range(x.size):
        cubed = x[i] + F32(0.044715) * x[i] * x[i] * x[i]
        x[i] = F32(0.5) * x[i] * (F32(1) + math.tanh(F32(math.sqrt(2 / math.pi)) * cubed))


@_njit
def multiply(x: Floats, y: Floats) -> None:
    """x *= y."""
    for i in range(x.size):
        x[i] *= y[i]


ACTIVATIONS: Mapping[str, Callable[[Floats], None]] = {
    "relu": relu,
    "leaky_relu": leaky_relu,
    "silu": silu,
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "swiglu": silu,
    "geglu_tanh": gelu_tanh,
}
