"""A folder of model files, looked through before any library sees it: no code, no pickle.

transformers runs Python files that a folder's configuration names, and reads pickles where there
are no safetensors. Nothing of that kind is accepted, whatever the files are called.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from scoring.experts.base import ExpertRefused
from scoring.experts.weights_file import name_foreign_format, read_header

MAX_FILES = 1000
MAX_CONFIG_BYTES = 2_000_000
MAX_TOKENIZER_BYTES = 64_000_000

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"

_CONFIGS = (
    CONFIG, "tokenizer_config.json", "special_tokens_map.json", "generation_config.json",
    "preprocessor_config.json", "processor_config.json", "image_processor_config.json", INDEX,
)  # fmt: skip
_UNSAFE_SUFFIXES = {
    ".bin", ".pt", ".pth", ".pt2", ".ckpt", ".pkl", ".pickle", ".joblib", ".h5", ".hdf5", ".keras",
    ".mar", ".onnx", ".msgpack", ".npy", ".npz", ".so",
}  # fmt: skip
_CODE_SUFFIXES = {".py", ".pyc", ".pyx", ".ipynb"}
_CODE_KEYS = {"auto_map", "trust_remote_code", "custom_pipelines", "custom_generate"}
_KERNEL_KEYS = {"attn_implementation", "_attn_implementation", "experts_implementation"}


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder that may be loaded: its configuration, and its weights files in order of name."""

    path: Path
    config: Mapping[str, Any]
    weights: tuple[Path, ...]

    @property
    def architecture(self) -> str:
        """The model class that the weights belong to, such as LlamaForCausalLM."""
        return str(self.config["architectures"][0])


def check_model_folder(folder: Path) -> ModelFolder:
    """Return what may be loaded from ``folder``, or refuse it, in milliseconds, with the reason."""
    for file in _list_files(folder):
        _check_file(file)
    documents = {name: _read_config(folder / name) for name in _CONFIGS if (folder / name).exists()}
    if CONFIG not in documents:
        raise ExpertRefused("weights_missing", f"{folder} holds no {CONFIG}")
    if (folder / "adapter_config.json").exists():
        message = f"{folder} is an adapter, not a whole model: merge it into its base model"
        raise ExpertRefused("architecture", message)
    architectures = documents[CONFIG].get("architectures")
    if not isinstance(architectures, list) or not architectures or len(architectures) > 1:
        raise ExpertRefused("architecture", f"{folder / CONFIG} names no one architecture")
    return ModelFolder(folder, documents[CONFIG], _find_weights(folder, documents.get(INDEX)))


def _list_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ExpertRefused("weights_missing", f"there is no folder {folder}")
    files = list(islice((path for path in folder.rglob("*") if path.is_file()), MAX_FILES + 1))
    if len(files) > MAX_FILES:
        message = f"{folder} holds more than {MAX_FILES} files; is it one model's folder?"
        raise ExpertRefused("weights_format", message)
    return files


def _check_file(path: Path) -> None:
    suffix = path.suffix.lower()
    if suffix in _CODE_SUFFIXES:
        message = f"{path} is code; only models of transformers' own classes are loaded"
        raise ExpertRefused("remote_code", message)
    if suffix == ".safetensors":
        return  # its header is read below
    try:
        with path.open("rb") as file:
            start = file.read(512)
        size = path.stat().st_size
    except OSError as error:
        raise ExpertRefused("weights_missing", f"{path}: {error.strerror}") from error
    what = name_foreign_format(start)
    if suffix in _UNSAFE_SUFFIXES or what is not None:
        message = f"{path} is {what or f'a {suffix} file'}; only safetensors weights are accepted"
        raise ExpertRefused("weights_format", message)
    if start.startswith(b"version https://git-lfs"):
        message = f"{path} is a Git LFS pointer, not the file: run `git lfs pull` where it lies"
        raise ExpertRefused("lfs_pointer", message)
    if size > (MAX_CONFIG_BYTES if path.name in _CONFIGS else MAX_TOKENIZER_BYTES):
        raise ExpertRefused("tokenizer_size", f"{path} has {size} bytes, which is too much")


def _read_config(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ExpertRefused("config", f"{path} is not JSON ({error})") from error
    if not isinstance(document, dict):
        raise ExpertRefused("config", f"{path} is not a JSON object")
    for key, value in _walk(document):
        asks_for_kernel = key in _KERNEL_KEYS and "/" in str(value)
        if (key in _CODE_KEYS and value) or asks_for_kernel:
            message = f"{path} asks for code from elsewhere ({key}); such models aren't loaded"
            raise ExpertRefused("remote_code", message)
    return document


def _walk(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key with its value, however deep; json.loads has bounded the depth."""
    pending = [value]
    while pending:
        each = pending.pop()
        if isinstance(each, dict):
            yield from each.items()
            pending += each.values()
        elif isinstance(each, list):
            pending += each


def _find_weights(folder: Path, index: Mapping[str, Any] | None) -> tuple[Path, ...]:
    found = sorted(path for path in folder.glob("*.safetensors") if path.is_file())
    if not found:
        raise ExpertRefused("weights_missing", f"{folder} holds no .safetensors weights")
    if index is not None and not (folder / "model.safetensors").exists():
        mapped = index.get("weight_map")
        named = set(mapped.values()) if isinstance(mapped, dict) else set()
        missing = sorted(str(name) for name in named - {path.name for path in found})
        if not named or missing:
            what = f"no {missing[0]!r}" if missing else "no weight_map"
            raise ExpertRefused("weights_missing", f"{folder / INDEX}: there is {what}")
    for path in found:
        read_header(path)
    return tuple(found)
