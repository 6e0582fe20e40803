"""How a trained decoder does beyond the length it was trained at."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from pipeline.training.validation import measure_text
from transformer.blank import blank
from transformer.config import ConfigError
from transformer.decoder import Decoder


def longer(decoder: Decoder, times: int) -> Decoder:
    """The same weights, looking at `times` as many tokens; ConfigError where there is no way."""
    block = decoder.config.block
    if decoder.config.position == "learned":
        raise ConfigError(
            f"learned positions are one trained vector each for {block} positions: there is none "
            f"for position {block + 1}"
        )
    made = blank(replace(decoder.config, block=times * block))
    made.load_state_dict(decoder.state_dict(), assign=True)
    return made.to(decoder.tokens.weight.device).train(decoder.training)


def measured(
    decoder: Decoder, times: int, val: NDArray[Any], text_bytes: int, windows: int
) -> dict[str, Any]:
    """Loss and bits per byte at `times` the training length, or the reason why there is none.

    Over as many targets as `windows` of the training length have, where the text has so many.
    """
    try:
        stretched = longer(decoder, times)
    except ConfigError as reason:
        return {"refused": str(reason)}
    block = stretched.config.block
    found = measure_text(stretched, val, block, text_bytes, max_windows=windows // times)
    return {"val_loss": found.per_token, "bits_per_byte": found.bits_per_byte}
