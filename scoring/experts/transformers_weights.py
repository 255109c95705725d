"""Bring a transformers model of any kind into memory: offline, checked for gaps, without code.

Everything that transformers could be talked into by a file was looked for before (see
``model_folder`` and ``gguf_file``).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub.errors import StrictDataclassError

from scoring.experts.base import ExpertRefused

if TYPE_CHECKING:
    import torch

MAX_LISTED_KEYS = 20
FETCHED = "fetched.json"
"""What ``fetch_expert`` wrote beside the files it brought: where from, and their hashes."""

# What transformers raises at files it can't use; a bug of its own is let through as what it is.
LOAD_ERRORS = (
    OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, ImportError,
    NotImplementedError, IndexError, AssertionError, ZeroDivisionError, OverflowError, MemoryError,
    StrictDataclassError,
)  # fmt: skip


def stay_offline() -> None:
    """Let no library look anything up on the hub; to be called before they are imported."""
    os.environ["HF_HUB_OFFLINE"] = "1"


def hash_weights(folder: Path, weights: tuple[Path, ...]) -> str:
    """Return one sha256 for all weights files, which must be what was fetched, if they were."""
    hashes = {file.name: hash_file(file) for file in weights}
    _compare_with_fetched(folder, hashes)
    if len(hashes) == 1:
        return next(iter(hashes.values()))
    return hashlib.sha256("".join(hashes[name] for name in sorted(hashes)).encode()).hexdigest()


def load_whole(auto_class: Any, folder: Path, **options: Any) -> Any:
    """Return ``auto_class``'s model in ``folder`` in evaluation mode, complete and finite."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        model, gaps = auto_class.from_pretrained(
            folder,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
            **options,
        )
    except LOAD_ERRORS as error:
        raise refuse_load("architecture", folder, error) from error
    _check_gaps(folder, gaps)
    _check_finite(folder, model)
    return model.eval()


def hash_file(path: Path) -> str:
    """Return the sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _compare_with_fetched(folder: Path, hashes: Mapping[str, str]) -> None:
    record = folder / FETCHED
    if not record.is_file():
        return
    expected = json.loads(record.read_text(encoding="utf-8"))["files"]
    for name, sha256 in hashes.items():
        if expected.get(name) != sha256:
            message = f"{folder / name} is not what was fetched: its sha256 is {sha256}"
            raise ExpertRefused("checksum", message)


def _check_gaps(folder: Path, gaps: Mapping[str, Any]) -> None:
    problems = [
        f"{what} {key}"
        for what in ("missing", "unexpected", "mismatched")
        for key in _names(gaps.get(f"{what}_keys", ()))
    ]
    if problems:
        shown = "; ".join(problems[:MAX_LISTED_KEYS])
        more = len(problems) - MAX_LISTED_KEYS
        tail = f"; and {more} more" if more > 0 else ""
        raise ExpertRefused("strict_load", f"{folder} does not fit the model: {shown}{tail}")


def _names(keys: Iterable[Any]) -> list[str]:
    return sorted(str(key[0] if isinstance(key, tuple) else key) for key in keys)


def _check_finite(folder: Path, model: torch.nn.Module) -> None:
    import torch

    for name, tensor in model.named_parameters():
        if not bool(torch.isfinite(tensor).all()):
            raise ExpertRefused("bad_weights", f"{folder}: {name} holds NaN or infinity")


def refuse_load(code: str, folder: Path, error: Exception) -> ExpertRefused:
    """Return a refusal that says what transformers said."""
    reason = " ".join(str(error).split())[:500] or type(error).__name__
    return ExpertRefused(code, f"transformers can't load {folder}: {reason}")
