"""Two folders for lm-evaluation-harness: SmolLM2-135M-Instruct, and a tiny decoder of chance.

PYTHONPATH=. python bench/mmlu_local/folders.py FOLDER     writes FOLDER/smollm2, FOLDER/random

Seconds. What to do with them is in docs/mmlu.md; docs/pretrained.md says how to get SmolLM2.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from minbpe import RegexTokenizer
from pipeline.cli.save_hf import write_folder
from pipeline.dialogue.template import SPECIAL
from pipeline.training.base_model import gguf_tokenizer
from transformer import pretrained
from transformer.config import ModelConfig
from transformer.decoder import Decoder
from transformer.io import WeightsError

QUESTIONS = Path(__file__).with_name("test.jsonl")


def main() -> None:
    """Write both."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder

    torch.manual_seed(1)
    tokenizer = RegexTokenizer.train(QUESTIONS.read_text("utf-8"), 512, special=SPECIAL)
    config = ModelConfig(vocab_size=tokenizer.size, block=1024, width=64, layers=2, heads=2)
    write_folder(Decoder(config), tokenizer, folder / "random")
    try:
        path = pretrained.smollm2_path()
    except WeightsError as error:
        print(f"smollm2 left out: {error}")
        return
    write_folder(pretrained.load(path), gguf_tokenizer(path), folder / "smollm2")


if __name__ == "__main__":
    main()
