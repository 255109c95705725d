"""Read and write safetensors files, checking every byte of the header before a library sees it.

No other weights format is accepted: most of them are pickles, which run code when they are opened.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from scoring.experts.base import ExpertRefused

MAX_HEADER_BYTES = 1_000_000
MAX_TENSORS = 20_000

_ITEM_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F8_E4M3": 8, "F8_E5M2": 8, "F16": 16, "BF16": 16, "F32": 32, "F64": 64,
}  # fmt: skip

_WRITABLE = {"float32": "F32", "float16": "F16", "float64": "F64", "int64": "I64"}

_FOREIGN = (
    (b"PK\x03\x04", "a zip archive (a PyTorch, TorchScript, Keras or MAR file)"),
    (b"\x80", "a Python pickle"),
    (b"\x89HDF", "an HDF5 file (Keras)"),
    (b"GGUF", "a GGUF file"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x08", "a protocol buffer (ONNX or TensorFlow)"),
)


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One tensor as the header declares it."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class WeightsHeader:
    """The checked header of a safetensors file: its tensors and its text metadata."""

    tensors: Mapping[str, TensorEntry]
    metadata: Mapping[str, str]


def read_header(path: Path) -> WeightsHeader:
    """Return the header of a safetensors file, or refuse the file with the reason.

    Checked without reading the tensors: the header's size, its JSON (no key twice), the number of
    tensors, and that their bytes tile the rest of the file exactly.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            text = _read_header_text(path, file, size)
    except OSError as error:
        raise ExpertRefused("weights_missing", f"{path}: {error.strerror}") from error
    document = _parse_header(path, text)
    metadata = document.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ExpertRefused("weights_header", f"{path}: __metadata__ must map text to text")
    if len(document) > MAX_TENSORS:
        message = f"{path}: {len(document)} tensors, at most {MAX_TENSORS} are accepted"
        raise ExpertRefused("weights_header", message)
    tensors = {name: _check_entry(path, name, entry) for name, entry in document.items()}
    _check_tiling(path, tensors, size - 8 - len(text))
    return WeightsHeader(tensors, metadata)


def write_weights(
    path: Path, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]
) -> None:
    """Write a safetensors file through a temporary name; equal input gives equal bytes.

    The library's own writer orders the metadata differently from run to run, which would give the
    same weights a different hash each time.
    """
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    position = 0
    for name, values in tensors.items():
        end = position + values.nbytes
        header[name] = {
            "dtype": _WRITABLE[values.dtype.name],
            "shape": list(values.shape),
            "data_offsets": [position, end],
        }
        position = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format asks for tensors aligned to eight bytes
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for values in tensors.values():
                little_endian = values.astype(values.dtype.newbyteorder("<"), copy=False)
                file.write(np.ascontiguousarray(little_endian).tobytes())
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _read_header_text(path: Path, file: BinaryIO, size: int) -> bytes:
    start = file.read(512)
    if start.startswith(b"version https://git-lfs"):
        message = f"{path} is a Git LFS pointer, not the weights: run `git lfs pull` where it lies"
        raise ExpertRefused("lfs_pointer", message)
    if start[8:9] != b"{":
        raise _refuse_format(path, start)
    length = int(struct.unpack("<Q", start[:8])[0])
    if length > MAX_HEADER_BYTES:
        message = f"{path}: header of {length} bytes, at most {MAX_HEADER_BYTES} are accepted"
        raise ExpertRefused("weights_header", message)
    if length > size - 8:
        message = f"{path}: header says {length} bytes, the file holds {size - 8}; is it cut short?"
        raise ExpertRefused("weights_header", message)
    file.seek(8)
    return file.read(length)


def name_foreign_format(start: bytes) -> str | None:
    """Return what a file that begins so is called, if it is a known format and not safetensors."""
    return next((name for magic, name in _FOREIGN if start.startswith(magic)), None)


def _refuse_format(path: Path, start: bytes) -> ExpertRefused:
    what = (name_foreign_format(start) or "something else") if start else "empty"
    message = f"{path} is {what}; only safetensors weights are accepted, whatever the file's name"
    return ExpertRefused("weights_format", message)


def _parse_header(path: Path, text: bytes) -> dict[str, Any]:
    def refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = dict(pairs)
        if len(keys) != len(pairs):
            # The library keeps one of the two silently, so two readers could see two models.
            raise ExpertRefused("weights_header", f"{path}: the header names a key twice")
        return keys

    try:
        document = json.loads(text, object_pairs_hook=refuse_repeats)
    except (ValueError, RecursionError) as error:
        message = f"{path}: the header is not JSON ({error}); only safetensors weights are accepted"
        raise ExpertRefused("weights_header", message) from error
    if not isinstance(document, dict):
        raise ExpertRefused("weights_header", f"{path}: the header is not a JSON object")
    return document


def _check_entry(path: Path, name: str, entry: Any) -> TensorEntry:
    malformed = ExpertRefused("weights_header", f"{path}: tensor {name[:80]!r} is malformed")
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise malformed
    shape, offsets = entry["shape"], entry["data_offsets"]
    numbers = [*shape, *offsets] if isinstance(shape, list) and isinstance(offsets, list) else [-1]
    if any(type(number) is not int or number < 0 for number in numbers) or len(offsets) != 2:
        raise malformed
    bits = _ITEM_BITS.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
    if bits is None or math.prod(shape) * bits != (offsets[1] - offsets[0]) * 8:
        raise malformed
    return TensorEntry(entry["dtype"], tuple(shape), offsets[0], offsets[1])


def _check_tiling(path: Path, tensors: Mapping[str, TensorEntry], n_bytes: int) -> None:
    position = 0
    for entry in sorted(tensors.values(), key=lambda tensor: (tensor.begin, tensor.end)):
        if entry.begin != position:
            message = f"{path}: tensors overlap or leave a gap at byte {position}"
            raise ExpertRefused("weights_header", message)
        position = entry.end
    if position != n_bytes:
        message = f"{path}: the tensors end at byte {position}, the file holds {n_bytes}"
        raise ExpertRefused("weights_header", message)
