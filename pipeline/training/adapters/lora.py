"""LoRA by peft on our decoder: small matrices learn beside frozen ones (Hu et al. 2021)."""

from __future__ import annotations

import logging
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from pipeline.common.errors import SettingsError
from pipeline.common.files import synced
from pipeline.training.adapters.nf4 import NF4Linear
from pipeline.training.auto import Tuning
from transformer.decoder import Decoder

if TYPE_CHECKING:
    from peft import PeftModel


def adapted(decoder: Decoder, settings: Tuning) -> PeftModel:
    """The decoder inside a peft model, in which only the adapters learn."""
    logging.getLogger("bitsandbytes").setLevel(
        logging.ERROR
    )  # it warns of kernels that are not needed
    from peft import LoraConfig, get_peft_model

    from pipeline.training.adapters.lora_linear import LoRALinear

    layers = decoder.config.layers
    if settings.layers and not all(0 <= n < layers for n in settings.layers):
        raise SettingsError(
            f"finetune.layers must name blocks from 0 to {layers - 1}, the model has {layers}."
        )
    names = sorted({name.rpartition(".")[2] for name in _matrices(decoder)})
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,  # type: ignore[arg-type]  # a float is fine
        lora_dropout=settings.dropout,
        target_modules=names,
        layers_to_transform=list(settings.layers) or None,
        layers_pattern="blocks" if settings.layers else None,
    )
    config._register_custom_module({nn.Linear: LoRALinear, NF4Linear: LoRALinear})
    return get_peft_model(decoder, config)


def _matrices(decoder: Decoder) -> dict[str, nn.Module]:
    """The linear layers inside the blocks, by name: attention and feed-forward."""
    return {
        name: module
        for name, module in decoder.named_modules()
        if isinstance(module, nn.Linear | NF4Linear) and name.startswith("blocks.")
    }


def lean(decoder: Decoder) -> Decoder:
    """The decoder with float32 for all but the matrices that get adapters.

    Those stay as they were saved, in half the memory: frozen, they lose nothing by it.
    """
    matrices = {id(module) for module in _matrices(decoder).values()}
    for module in decoder.modules():
        if id(module) not in matrices and next(module.parameters(recurse=False), None) is not None:
            module.float()
    return decoder


def save_adapter(model: PeftModel, folder: Path) -> None:
    """Write the adapter in peft's own format; until it is whole, an older one stays."""
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft looks for a Hugging Face config
        model.save_pretrained(str(part))
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted(part.iterdir(), key=lambda file: file.suffix == ".safetensors"):
        synced(file)
        file.replace(folder / file.name)
    part.rmdir()


def merged(decoder: Decoder, folder: Path) -> Decoder:
    """The decoder in float32, with the adapter of a folder added into its weights."""
    from peft import PeftModel

    whole: Decoder = PeftModel.from_pretrained(decoder.float(), str(folder)).merge_and_unload()
    return whole
