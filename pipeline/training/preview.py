"""A few words of the model's own at every evaluation, to watch it learn to speak."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from minbpe.base import Tokenizer
from pipeline.dialogue.template import end_id
from transformer.decoder import Decoder
from transformer.generate import Sampling, generate

LENGTH = 40


def sampler(decoder: Decoder, tokenizer: Tokenizer, prompt: Sequence[int]) -> Callable[[], str]:
    """A function that continues a prompt, always with the same luck."""

    def sample() -> str:
        ids = generate(
            decoder,
            prompt,
            LENGTH,
            Sampling(temperature=0.8, top_k=50),
            stop_ids=[end_id(tokenizer)],
            forbidden_ids=range(tokenizer.size, decoder.config.vocab_size),
            generator=torch.Generator(next(decoder.parameters()).device).manual_seed(0),
        )
        return tokenizer.decode([i for i in ids if i not in tokenizer.special.values()]).strip()

    return sample
