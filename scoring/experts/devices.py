"""Where a model runs: the device, the precision it has there, and how its numbers stay the same."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from scoring.experts.base import ExpertRefused

if TYPE_CHECKING:
    import torch


def choose_device(device: str) -> torch.device:
    """Return the device called ``device``; ``auto`` is CUDA, else Apple's GPU, else the CPU."""
    import torch

    n_cuda = torch.cuda.device_count() if device != "cpu" else 0
    has_mps = torch.backends.mps.is_available()
    if device == "auto":
        return torch.device("cuda:0" if n_cuda else "mps" if has_mps else "cpu")
    chosen = torch.device(device)
    if chosen.type == "cuda" and (chosen.index or 0) >= n_cuda:
        message = f"device {device!r} is not there: this machine has {n_cuda} CUDA devices"
        raise ExpertRefused("device", message)
    if chosen.type == "mps" and not has_mps:
        raise ExpertRefused("device", "device 'mps' is not there: this machine has no Apple GPU")
    return chosen


def describe_device(device: torch.device) -> str:
    """Return the device's name for people."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the type of weights and activations, or say that the device is no good at it."""
    import torch

    if precision == "float16" and device.type == "cpu":
        message = "float16 is for GPUs; on a CPU use precision=bfloat16 or float32"
        raise ExpertRefused("precision", message)
    if precision == "bfloat16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        message = f"{describe_device(device)} has no bfloat16; use precision=float16 or float32"
        raise ExpertRefused("precision", message)
    dtype: torch.dtype = getattr(torch, precision)
    return dtype


def repeatable_numerics(device: torch.device) -> AbstractContextManager[None]:
    """Return a context in which the same batch gives the same bits on the same device."""
    import torch

    if device.type != "cuda":
        return nullcontext()
    # The defaults round to ten mantissa bits and choose kernels by race: neither repeats.
    return torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )


def is_out_of_memory(error: RuntimeError) -> bool:
    """Say whether ``error`` is a device (or this machine) short of memory."""
    import torch

    if isinstance(error, torch.OutOfMemoryError):
        return True
    # The CPU's allocator and Apple's raise a plain RuntimeError.
    text = str(error)
    return "DefaultCPUAllocator" in text or "out of memory" in text


def wait_for(device: torch.device) -> None:
    """Wait until a device has done what it was given; a CPU always has."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def release_memory(device: torch.device) -> None:
    """Give cached device memory back, so that a smaller batch finds it in one piece."""
    import torch

    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
