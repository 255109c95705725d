"""npy and npz files from strangers: size checked against header first, never a pickle."""

from __future__ import annotations

import ast
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from audit.loaders.base import ImportRefused, refuse

MAX_KEY_BYTES = 4 * 512
_MAGIC = b"\x93NUMPY"
_BLOCK = 1 << 20
_MAX_HEADER_BYTES = 10_000

# What zipfile and zlib raise on damaged, encrypted or unknown content.
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError)

Shape = tuple[int, ...]


def sniff_container(path: Path) -> Literal["npy", "npz"]:
    """Say by content which of the two a file is; anything else is refused."""
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise refuse("missing", f"{path}: {error.strerror}") from error
    if start.startswith(_MAGIC):
        return "npy"
    if start.startswith(b"PK\x03\x04"):
        return "npz"
    raise refuse("format", f"{path.name} is neither npy nor npz; only these are read")


def open_npy(path: Path, expected: Shape) -> NDArray[Any]:
    """Return the float matrix in an npy file as a read-only memory map."""
    size = path.stat().st_size
    with path.open("rb") as file:
        shape, fortran, dtype = _read_header(file, path.name)
        offset = file.tell()
    _check_matrix(path.name, shape, dtype, expected)
    _check_size(path.name, shape, dtype, size - offset)
    return _map(path, shape, dtype, offset, fortran=fortran)


def open_npz_member(
    path: Path, names: tuple[str, ...], expected: Shape
) -> tuple[NDArray[Any], list[str]]:
    """Return one float matrix of an npz file, and the names of the arrays beside it.

    The member is unpacked block by block into an unnamed temporary file, exactly as many bytes
    as its header and the data set allow, and mapped from there.
    """
    with _open_zip(path) as archive:
        arrays = _list_arrays(path, archive)
        name = next((each for each in names if each in arrays), None)
        if name is None:
            raise _lacks(path, names[0], arrays)
        others = [each for each in arrays if each != name]
        return _open_member(path, archive, arrays[name], name, expected), others


def open_npz_columns(path: Path, names: Mapping[str, str], n_items: int) -> dict[str, NDArray[Any]]:
    """Return several arrays of an npz file that have one row per item, by name.

    ``names`` maps each to the kinds of numbers it may hold, as numpy's letters ("iu", "f").
    """
    columns = {}
    with _open_zip(path) as archive:
        arrays = _list_arrays(path, archive)
        for name, kinds in names.items():
            if name not in arrays:
                raise _lacks(path, name, arrays)
            columns[name] = _open_member(path, archive, arrays[name], name, (n_items,), kinds)
    return columns


def list_npz(path: Path) -> list[str]:
    """Return the names of the arrays in an npz file."""
    with _open_zip(path) as archive:
        return list(_list_arrays(path, archive))


def _lacks(path: Path, name: str, arrays: Iterable[str]) -> ImportRefused:
    message = f"{path.name} has no array {name!r}; it has: {', '.join(sorted(arrays))}"
    return refuse("format", message[:500])


def _open_member(
    path: Path,
    archive: zipfile.ZipFile,
    entry: zipfile.ZipInfo,
    name: str,
    expected: Shape,
    kinds: str = "",
) -> NDArray[Any]:
    """Unpack and map one member: a float matrix, or any array of ``kinds`` with its first side."""
    try:
        with archive.open(entry) as member:
            shape, fortran, dtype = _read_header(member, name)
            if kinds:
                _check_column(name, shape, dtype, expected[0], kinds)
            else:
                _check_matrix(name, shape, dtype, expected)
            n_bytes = _check_size(name, shape, dtype, entry.file_size - member.tell())
            unpacked = _unpack(member, n_bytes, name)
    except _ZIP_ERRORS as error:
        raise refuse("damaged", f"{path.name}: {name} cannot be read: {error}") from error
    with unpacked:
        # The mapping keeps the unnamed file alive after it is closed here.
        return _map(unpacked, shape, dtype, 0, fortran=fortran)


def read_npz_keys(path: Path, n_items: int) -> list[str]:
    """Return the text array ``keys`` of an npz file, one per row."""
    with _open_zip(path) as archive:
        entry = _list_arrays(path, archive)["keys"]
        try:
            with archive.open(entry) as member:
                shape, _, dtype = _read_header(member, "keys")
                if dtype.kind not in "US" or dtype.itemsize > MAX_KEY_BYTES:
                    raise refuse("dtype", f"keys must be text of at most 512 signs, got {dtype}")
                if shape != (n_items,):
                    message = f"keys have shape {shape}, the data set has {n_items} items"
                    raise refuse("count_mismatch", message)
                n_bytes = _check_size("keys", shape, dtype, entry.file_size - member.tell())
                content = member.read(n_bytes + 1)
        except _ZIP_ERRORS as error:
            raise refuse("damaged", f"{path.name}: keys cannot be read: {error}") from error
    if len(content) != n_bytes:
        raise refuse("damaged", "keys: the archive lies about their size")
    try:
        found = np.frombuffer(content, dtype=dtype).tolist()
        return [key.decode() if isinstance(key, bytes) else key for key in found]
    except ValueError as error:  # bytes that are no UTF-8, or numbers that are no characters
        raise refuse("encoding", f"keys are not text: {error}") from error


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except _ZIP_ERRORS as error:
        raise refuse("damaged", f"{path.name} is not a whole npz file: {error}") from error


def _list_arrays(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    arrays: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        name = entry.filename.removesuffix(".npy")
        if name in arrays:
            raise refuse("damaged", f"{path.name} holds {name[:60]!a} twice")
        arrays[name] = entry
    return arrays


def _read_header(file: IO[bytes], name: str) -> tuple[Shape, bool, np.dtype[Any]]:
    """Read shape, order and type by hand: numpy repairs odd headers, and trips over some."""
    start = file.read(8)
    length_bytes = {b"\1\0": 2, b"\2\0": 4}.get(start[6:8])
    if not start.startswith(_MAGIC) or length_bytes is None:
        raise refuse("damaged", f"{name} is no npy array of version 1 or 2")
    length = int.from_bytes(file.read(length_bytes), "little")
    if length > _MAX_HEADER_BYTES:
        raise refuse("damaged", f"{name}: a header of {length} bytes")
    try:
        header = ast.literal_eval(file.read(length).decode("latin-1").strip())
        shape, fortran, descr = header["shape"], header["fortran_order"], header["descr"]
        dtype = np.dtype(descr)
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError, KeyError) as error:
        raise refuse("damaged", f"{name}: the header is damaged: {str(error)[:200]}") from error
    is_sane = isinstance(shape, tuple) and all(type(side) is int and side >= 0 for side in shape)
    if not is_sane or not isinstance(fortran, bool):
        raise refuse("damaged", f"{name}: the header is damaged")
    return shape, fortran, dtype


def _check_matrix(name: str, shape: Shape, dtype: np.dtype[Any], expected: Shape) -> None:
    if dtype.hasobject:
        raise refuse("dtype", f"{name} holds Python objects (a pickle), which are never loaded")
    if dtype.kind != "f" or dtype.itemsize not in {2, 4, 8}:
        message = f"{name} is {dtype}; float16, float32 and float64 are accepted"
        raise refuse("dtype", message)
    if shape == expected:
        return
    message = f"{name} has shape {shape}, the data set needs {expected} (items, classes)"
    if len(shape) != 2:
        raise refuse("shape", message)
    if shape == expected[::-1]:
        raise refuse("shape", f"{message}; it looks transposed")
    code = "count_mismatch" if shape[0] != expected[0] else "class_count"
    raise refuse(code, message)


def _check_column(name: str, shape: Shape, dtype: np.dtype[Any], n_items: int, kinds: str) -> None:
    if dtype.hasobject:
        raise refuse("dtype", f"{name} holds Python objects (a pickle), which are never loaded")
    if dtype.kind not in kinds or dtype.itemsize > 8:
        raise refuse("dtype", f"{name} is {dtype}; numbers of kind {kinds!r} are accepted")
    if not 1 <= len(shape) <= 2 or shape[0] != n_items:
        message = f"{name} has shape {shape}, the data set has {n_items} items"
        raise refuse("count_mismatch", message)


def _check_size(name: str, shape: Shape, dtype: np.dtype[Any], n_there: int) -> int:
    n_bytes = dtype.itemsize
    for length in shape:
        n_bytes *= length  # Python's integers do not overflow
    if n_bytes != n_there:
        message = f"{name}: the header speaks of {n_bytes} bytes, there are {n_there}"
        raise refuse("damaged", message)
    return n_bytes


def _unpack(member: IO[bytes], n_bytes: int, name: str) -> IO[bytes]:
    unpacked = tempfile.TemporaryFile()  # noqa: SIM115 - handed to the caller
    try:
        n_left = n_bytes
        while block := member.read(min(_BLOCK, n_left + 1)):
            n_left -= len(block)
            if n_left < 0:
                raise refuse("damaged", f"{name}: the archive lies about its size")
            unpacked.write(block)
        if n_left:
            raise refuse("damaged", f"{name} ends {n_left} bytes early")
        unpacked.flush()
    except (ImportRefused, *_ZIP_ERRORS):
        unpacked.close()
        raise
    return unpacked


def _map(
    file: Path | IO[bytes], shape: Shape, dtype: np.dtype[Any], offset: int, *, fortran: bool
) -> NDArray[Any]:
    if 0 in shape:
        return np.empty(shape, dtype)  # nothing to map
    order: Literal["C", "F"] = "F" if fortran else "C"
    return np.memmap(file, dtype=dtype, mode="r", offset=offset, shape=shape, order=order)
