"""Telling a device that ran out of memory from other errors."""

from __future__ import annotations

import torch

_SAID = (
    "can't allocate memory",  # torch's CPU allocator
    "could not create a memory",  # oneDNN
    "could not create a primitive",
    "MPS backend out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


def out_of_memory(error: RuntimeError) -> bool:
    """Whether memory ran out; torch has a class of its own for that on GPUs alone."""
    return isinstance(error, torch.OutOfMemoryError) or any(said in str(error) for said in _SAID)
