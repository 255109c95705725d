"""What is done for GPUs, as far as it can be seen without one."""

from __future__ import annotations

import pytest

from scoring.experts import ExpertRefused
from scoring.experts.devices import (
    choose_device,
    choose_dtype,
    is_out_of_memory,
    release_memory,
    repeatable_numerics,
    wait_for,
)

torch = pytest.importorskip("torch")
CPU, CUDA, MPS = (torch.device(name) for name in ("cpu", "cuda:0", "mps"))


@pytest.mark.parametrize(
    ("n_cuda", "has_mps", "expected"),
    [(2, False, "cuda:0"), (1, True, "cuda:0"), (0, True, "mps"), (0, False, "cpu")],
)
def test_the_fastest_device_there_is_chosen(monkeypatch, n_cuda, has_mps, expected):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: n_cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: has_mps)
    assert str(choose_device("auto")) == expected
    assert str(choose_device("cpu")) == "cpu"


@pytest.mark.parametrize("device", ["cuda:2", "mps"])
def test_a_device_that_is_not_there_is_refused(monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ExpertRefused, match="not there"):
        choose_device(device)


def test_a_gpu_computes_without_races_and_short_mantissas():
    with repeatable_numerics(CUDA):
        flags = torch.backends.cudnn
        assert (flags.deterministic, flags.benchmark, flags.allow_tf32) == (True, False, False)
    with repeatable_numerics(CPU):
        pass


def test_precisions_go_where_the_hardware_has_them(monkeypatch):
    assert choose_dtype("float16", CUDA) is torch.float16
    assert choose_dtype("float16", MPS) is torch.float16
    with pytest.raises(ExpertRefused, match="for GPUs"):
        choose_dtype("float16", CPU)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _device: "an old GPU")
    with pytest.raises(ExpertRefused, match="an old GPU has no bfloat16"):
        choose_dtype("bfloat16", CUDA)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 17.9 GB)"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
)
def test_f44_every_device_has_its_own_words_for_too_little_memory(error, expected):
    assert is_out_of_memory(error) is expected


def test_a_cpu_is_never_waited_for():
    wait_for(CPU)
    release_memory(CPU)
