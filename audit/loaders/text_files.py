"""Text files from strangers: the encoding and size of every line is checked before parsing."""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from pathlib import Path

from audit.loaders.base import refuse

MAX_FIELD_BYTES = 32_000
_BLOCK = 1 << 20
_MAX_BLOCKS_PER_LINE = 4

_FOREIGN = (
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "zip or Excel"),
    (b"PAR1", "Parquet"),
    (b"\x80", "pickle"),
    (b"\xd0\xcf\x11\xe0", "Excel"),
    (b"ARROW1", "Arrow"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
)


def check_text_file(path: Path) -> None:
    """Refuse what is not plain UTF-8 text: other formats, encodings, NUL, endless lines, nothing.

    Reads the file once in blocks; the parsers can then trust it.
    """
    try:
        with path.open("rb") as file:
            _check_blocks(path, iter(lambda: file.read(_BLOCK), b""))
    except OSError as error:
        raise refuse("missing", f"{path}: {error.strerror}") from error


def _check_blocks(path: Path, blocks: Iterable[bytes]) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    position = n_blocks_in_line = n_rows = 0
    for block in blocks:
        if position == 0:
            _check_start(path, block)
        if (nul := block.find(b"\0")) >= 0:
            row = n_rows + block.count(b"\n", 0, nul) + 1
            raise refuse("nul", f"a NUL byte at byte {position + nul}", row=row)
        n_pending = len(decoder.getstate()[0])
        try:
            decoder.decode(block)
        except UnicodeDecodeError as error:
            raise _refuse_encoding(position - n_pending + error.start, error.reason) from error
        position += len(block)
        n_rows += block.count(b"\n")
        has_end = b"\n" in block or b"\r" in block
        n_blocks_in_line = 0 if has_end else n_blocks_in_line + 1
        if n_blocks_in_line >= _MAX_BLOCKS_PER_LINE:
            raise refuse("field_too_long", "a line of more than four megabytes", row=n_rows + 1)
    if position == 0:
        raise refuse("empty", f"{path.name} is empty")
    n_pending = len(decoder.getstate()[0])
    if n_pending:
        raise _refuse_encoding(position - n_pending, "unexpected end of data")


def _check_start(path: Path, block: bytes) -> None:
    for magic, name in _FOREIGN:
        if block.startswith(magic):
            raise refuse("format", f"{path.name} is {name}; plain CSV or JSONL text is accepted")
    if block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise refuse("encoding", f"{path.name} is UTF-16 at byte 0; save it as UTF-8")


def _refuse_encoding(position: int, reason: str) -> Exception:
    return refuse("encoding", f"not UTF-8 at byte {position} ({reason}); save the file as UTF-8")
