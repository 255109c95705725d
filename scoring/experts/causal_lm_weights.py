"""Bring a causal language model and its tokenizer into memory: offline, checked, without code.

Everything that transformers could be talked into by a file was looked for before (see
``model_folder`` and ``gguf_file``), and a loaded model is checked (see ``transformers_weights``).
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scoring.experts.base import ExpertRefused
from scoring.experts.model_folder import check_model_folder
from scoring.experts.transformers_weights import (
    LOAD_ERRORS,
    hash_weights,
    load_whole,
    refuse_load,
    stay_offline,
)

if TYPE_CHECKING:
    import torch

TOKENIZER_SECONDS = 20

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
    stay_offline()
    if path.is_file():
        return _load(path.parent, dtype, (path,), gguf_file=path.name)
    folder = check_model_folder(path)
    probe_tokenizer(path / "tokenizer.json")
    return _load(path, dtype, folder.weights)


def _load(
    folder: Path, dtype: torch.dtype, weights: tuple[Path, ...], *, gguf_file: str | None = None
) -> LoadedLanguageModel:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    sha256 = hash_weights(folder, weights)
    try:
        tokenizer = AutoTokenizer.from_pretrained(  # nosec B615 - of a folder, nothing is fetched
            folder, gguf_file=gguf_file, local_files_only=True, trust_remote_code=False
        )
    except LOAD_ERRORS as error:
        raise refuse_load("tokenizer", folder, error) from error
    model = load_whole(
        AutoModelForCausalLM,
        folder,
        dtype=dtype,
        gguf_file=gguf_file,
        use_safetensors=gguf_file is None or None,
    )
    return LoadedLanguageModel(model, tokenizer, sha256, _hash_tokenizer(tokenizer))


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


def _hash_tokenizer(tokenizer: Any) -> str:
    """Return a hash of what the tokenizer does, the same from a folder and from a GGUF file."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    text = backend.to_str() if backend is not None else json.dumps(tokenizer.get_vocab())
    return hashlib.sha256(text.encode()).hexdigest()
