"""Memory in large pages, which is handed out faster."""

from __future__ import annotations

import os


def use_huge_pages() -> None:
    """Let torch ask Linux for pages of 2 MiB instead of 4 KiB; elsewhere this changes nothing.

    A training step asks for its large tensors anew each time, and the system hands over page by
    page: for a small decoder that was a tenth of the step. To be called before torch makes its
    first tensor. (`THP_MEM_ALLOC_ENABLE` in PyTorch's documentation of environment variables.)
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
