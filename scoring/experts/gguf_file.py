"""GGUF files (llama.cpp's format), walked through and bounded before a library reads them."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scoring.experts.base import ExpertRefused

MAX_TENSORS = 20_000
MAX_FIELDS = 10_000
MAX_TEXT_BYTES = 1_000_000
MAX_LIST_LENGTH = 4_000_000
MAX_DIMENSIONS = 4

_MAGIC = b"GGUF"
_NUMBERS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
_TEXT, _LIST = 8, 9


@dataclass(frozen=True, slots=True)
class GGUFHeader:
    """What a GGUF file declares: its architecture, number of tensors, and where they begin."""

    architecture: str
    n_tensors: int
    data_start: int


def is_gguf(path: Path) -> bool:
    """Say whether the file begins as GGUF files do."""
    try:
        with path.open("rb") as file:
            return file.read(4) == _MAGIC
    except OSError:
        return False


def read_gguf_header(path: Path) -> GGUFHeader:
    """Return the checked header, or refuse the file: no count or offset leads outside it."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
            return _Reader(path, view).read()
    except (OSError, ValueError) as error:
        raise ExpertRefused("weights_missing", f"{path}: {error}") from error
    except struct.error as error:
        raise ExpertRefused("weights_header", f"{path} is cut short") from error


class _Reader:
    """Walks through a header; ``position`` is where the next field begins."""

    def __init__(self, path: Path, view: mmap.mmap) -> None:
        self.path = path
        self.view = view
        self.position = 0

    def read(self) -> GGUFHeader:
        if self.view[:4] != _MAGIC:
            raise self._refuse("it does not begin as GGUF files do")
        self.position = 4
        version, n_tensors, n_fields = self._take("I"), self._take("Q"), self._take("Q")
        if version not in {2, 3}:
            raise self._refuse(f"version {version}; 2 and 3 are read")
        if n_tensors > MAX_TENSORS or n_fields > MAX_FIELDS:
            raise self._refuse(f"{n_tensors} tensors and {n_fields} fields are too many")
        fields: dict[bytes, Any] = {}
        for _ in range(n_fields):
            name = self._text()
            if name in fields:
                raise self._refuse(f"field {name!r} is there twice")
            fields[name] = self._value(self._take("I"))
        for _ in range(n_tensors):
            self._tensor()
        architecture = fields.get(b"general.architecture")
        if not isinstance(architecture, bytes):
            raise self._refuse("it names no architecture")
        return GGUFHeader(architecture.decode("utf-8", "replace"), n_tensors, self.position)

    def _take(self, code: str) -> Any:
        (value,) = struct.unpack_from(f"<{code}", self.view, self.position)
        self.position += struct.calcsize(f"<{code}")
        return value

    def _text(self) -> bytes:
        length = self._take("Q")
        if length > MAX_TEXT_BYTES:
            raise self._refuse(f"a text of {length} bytes")
        self._skip(length)
        return self.view[self.position - length : self.position]

    def _value(self, kind: int) -> Any:
        if kind == _TEXT:
            return self._text()
        if kind in _NUMBERS:
            return self._take(_NUMBERS[kind])
        if kind != _LIST:
            raise self._refuse(f"a value of kind {kind}")
        inner, length = self._take("I"), self._take("Q")
        if length > MAX_LIST_LENGTH:
            raise self._refuse(f"a list of {length} values")
        if inner == _TEXT:
            for _ in range(length):
                self._text()
        elif inner in _NUMBERS:
            self._skip(length * struct.calcsize(_NUMBERS[inner]))
        else:
            raise self._refuse(f"a list of values of kind {inner}")
        return None

    def _tensor(self) -> None:
        name = self._text()
        n_dimensions = self._take("I")
        if not 1 <= n_dimensions <= MAX_DIMENSIONS:
            raise self._refuse(f"tensor {name[:80]!r} has {n_dimensions} dimensions")
        self._skip(8 * n_dimensions + 4)
        if self._take("Q") >= len(self.view):
            raise self._refuse(f"tensor {name[:80]!r} lies outside the file")

    def _skip(self, n_bytes: int) -> None:
        self.position += n_bytes
        if self.position > len(self.view):
            raise self._refuse("it is cut short")

    def _refuse(self, reason: str) -> ExpertRefused:
        return ExpertRefused("weights_header", f"{self.path}: {reason}")
