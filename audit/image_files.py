"""Read a picture's bytes below a root folder: a file, or a piece of a larger one.

A piece is addressed as ``shard.tar#OFFSET+LENGTH`` or ``data.arrow#OFFSET+LENGTH``: pictures are
read where they lie, by any process, without an index or a library for the format around them.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import unicodedata
from pathlib import Path

MAX_FILE_BYTES = 50_000_000
MAX_NAME_BYTES = 255
_PIECE = re.compile(
    r"(?P<file>.+\.(?:tar|arrow))#(?P<offset>[0-9]{1,15})\+(?P<length>[0-9]{1,12})", re.DOTALL
)
READ_ATTEMPTS = 3  # a network disk may fail once; three times is a broken file

# Reordering characters make a name read differently from what it is.
_BIDI_CONTROLS = set("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class UnusableImage(Exception):  # noqa: N818 - the word used for it in reports and pages
    """A picture that cannot be scored: a stable ``code`` and a ``detail`` for people."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail

    def __reduce__(self) -> tuple[type[UnusableImage], tuple[str, str]]:
        return type(self), (self.code, self.detail)


def piece_address(relative: str, offset: int, length: int) -> str:
    """Return the address of ``length`` bytes from ``offset`` on in a tar or arrow file."""
    return f"{relative}#{offset}+{length}"


def is_piece(address: str) -> bool:
    """Say whether ``address`` is that of a piece of a file."""
    return _PIECE.fullmatch(address) is not None


def check_name(relative: str) -> None:
    """Refuse a path that no honest data set contains; raises ``UnusableImage``."""
    shown = ascii(relative[:80])
    if not relative or relative.startswith("/") or ".." in relative.split("/"):
        raise UnusableImage("outside_root", f"{shown} does not stay inside the data set's folder")
    try:
        names = relative.encode().split(b"/")
    except UnicodeEncodeError as error:
        raise UnusableImage("bad_name", f"{shown} is not valid UTF-8") from error
    if any(len(name) > MAX_NAME_BYTES for name in names):
        raise UnusableImage("bad_name", f"{shown} has a name over {MAX_NAME_BYTES} bytes")
    if "\ufffd" in relative:
        raise UnusableImage("bad_name", f"{shown} is not valid UTF-8")
    if any(unicodedata.category(sign) == "Cc" or sign in _BIDI_CONTROLS for sign in relative):
        raise UnusableImage("bad_name", f"{shown} contains control characters")


def read_file(root: Path, address: str) -> bytes:
    """Return the bytes of a regular file inside ``root``, or of a piece of one.

    Links are followed only inside it. Raises ``UnusableImage`` with bad_name, outside_root,
    not_regular, missing, unreadable, empty, truncated or too_large.
    """
    piece = _PIECE.fullmatch(address)
    relative = address if piece is None else piece["file"]
    check_name(relative)
    for attempt in range(1, READ_ATTEMPTS + 1):
        try:
            if piece is None:
                return _read_once(root, relative)
            return _read_once(root, relative, int(piece["offset"]), int(piece["length"]))
        except FileNotFoundError as error:
            raise UnusableImage("missing", "the file is not there") from error
        except NotADirectoryError as error:
            raise UnusableImage("missing", "a folder on the way is not there") from error
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise UnusableImage("outside_root", "a link leads in circles") from error
            if error.errno != errno.EIO or attempt == READ_ATTEMPTS:
                raise UnusableImage("unreadable", error.strerror or str(error)) from error
    raise AssertionError("the last attempt returns or raises")


def _read_once(root: Path, relative: str, offset: int = 0, length: int | None = None) -> bytes:
    real_root = os.path.realpath(root)
    # Links are resolved here and refused below: whoever swaps one in between gains nothing.
    real_path = os.path.realpath(os.path.join(real_root, relative), strict=True)  # noqa: PTH118
    inside = os.path.relpath(real_path, real_root)
    if inside == ".." or inside.startswith("../"):
        raise UnusableImage("outside_root", "a link leads out of the data set's folder")
    descriptor = _open_inside(real_root, inside.split("/"))
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UnusableImage("not_regular", "not a regular file")
        size = status.st_size if length is None else length
        if size == 0:
            raise UnusableImage("empty", "the file has no bytes")
        if size > MAX_FILE_BYTES:
            limit = f"at most {MAX_FILE_BYTES} are accepted"
            raise UnusableImage("too_large", f"{size} bytes, {limit}")
        file.seek(offset)
        # One byte more than a whole file should have notices that it grew meanwhile.
        content = file.read(size + 1 if length is None else size)
    if length is not None and len(content) < length:
        raise UnusableImage("truncated", f"{relative[:80]!a} ends inside the picture")
    if len(content) > MAX_FILE_BYTES:
        raise UnusableImage("too_large", f"over {MAX_FILE_BYTES} bytes")
    return content


def _open_inside(real_root: str, names: list[str]) -> int:
    """Open step by step from the root, following no link at any step."""
    folder = os.open(real_root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in names[:-1]:
            inner = os.open(
                name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder
            )
            os.close(folder)
            folder = inner
        # Looked at before opening, because opening a device or a pipe already has effects.
        mode = os.stat(names[-1], dir_fd=folder, follow_symlinks=False).st_mode
        if not stat.S_ISREG(mode):
            raise UnusableImage("not_regular", "not a regular file")
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        return os.open(names[-1], flags, dir_fd=folder)
    finally:
        os.close(folder)
