"""Bring a causal language model and its tokenizer into memory: offline, checked, without code.

Everything that transformers could be talked into by a file was looked for before (see
``model_folder`` and ``gguf_file``); here the loaded model is checked for gaps.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scoring.experts.base import ExpertRefused
from scoring.experts.model_folder import check_model_folder

if TYPE_CHECKING:
    import torch

MAX_LISTED_KEYS = 20
TOKENIZER_SECONDS = 20
FETCHED = "fetched.json"
"""What ``fetch_expert`` wrote beside the files it brought: where from, and their hashes."""

# What transformers raises at files it can't use; a bug of its own is let through as what it is.
_LOAD_ERRORS = (
    OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, ImportError,
    NotImplementedError, IndexError, AssertionError, ZeroDivisionError, OverflowError, MemoryError,
)  # fmt: skip
_PROBE = """
import sys
from tokenizers import Tokenizer
tokenizer = Tokenizer.from_file(sys.argv[1])
for sign in "aA1 .-\\u0301\\u4e00":
    for end in ("", "!", "\\n", "b"):
        tokenizer.encode(sign * 3000 + end)
"""


@dataclass(frozen=True, slots=True)
class LoadedLanguageModel:
    """A model on the CPU in evaluation mode, its tokenizer, and the hashes of both."""

    model: Any
    tokenizer: Any
    weights_sha256: str
    tokenizer_sha256: str


def load_language_model(path: Path, dtype: torch.dtype) -> LoadedLanguageModel:
    """Return the model in ``path`` (a checked folder, or a GGUF file), finite and complete."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # nothing below needs it; nothing below may go out either
    if path.is_file():
        return _load(path.parent, dtype, (path,), gguf_file=path.name)
    folder = check_model_folder(path)
    probe_tokenizer(path / "tokenizer.json")
    return _load(path, dtype, folder.weights)


def _load(
    folder: Path, dtype: torch.dtype, weights: tuple[Path, ...], *, gguf_file: str | None = None
) -> LoadedLanguageModel:
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    hashes = {file.name: hash_file(file) for file in weights}
    _compare_with_fetched(folder, hashes)
    logging.disable_progress_bar()
    source: dict[str, Any] = {"gguf_file": gguf_file, "local_files_only": True}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, **source)
    except _LOAD_ERRORS as error:
        raise _refuse("tokenizer", folder, error) from error
    try:
        model, gaps = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            use_safetensors=gguf_file is None or None,
            trust_remote_code=False,
            output_loading_info=True,
            **source,
        )
    except _LOAD_ERRORS as error:
        raise _refuse("architecture", folder, error) from error
    _check_gaps(folder, gaps)
    _check_finite(folder, model)
    return LoadedLanguageModel(
        model.eval(),
        tokenizer,
        hashlib.sha256("".join(hashes[name] for name in sorted(hashes)).encode()).hexdigest()
        if len(hashes) > 1
        else next(iter(hashes.values())),
        _hash_tokenizer(tokenizer),
    )


def probe_tokenizer(path: Path) -> None:
    """Refuse a tokenizer that takes too long to load or to read a few plain texts.

    Its pattern can be made so that it never ends, and nothing in this process could stop it.
    """
    if not path.exists():
        return
    try:
        subprocess.run(  # noqa: S603 - our own few lines
            [sys.executable, "-I", "-c", _PROBE, str(path)],
            check=True,
            capture_output=True,
            timeout=TOKENIZER_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        message = f"{path} takes more than {TOKENIZER_SECONDS} seconds for a few short texts"
        raise ExpertRefused("tokenizer_timeout", message) from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines()
        message = f"{path}: {said[-1] if said else 'the tokenizer fails'}"
        raise ExpertRefused("tokenizer", message) from error


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


def _hash_tokenizer(tokenizer: Any) -> str:
    """Return a hash of what the tokenizer does, the same from a folder and from a GGUF file."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    text = backend.to_str() if backend is not None else json.dumps(tokenizer.get_vocab())
    return hashlib.sha256(text.encode()).hexdigest()


def _refuse(code: str, folder: Path, error: Exception) -> ExpertRefused:
    reason = " ".join(str(error).split())[:500] or type(error).__name__
    return ExpertRefused(code, f"transformers can't load {folder}: {reason}")
