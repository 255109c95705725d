"""Open a picture's file below a root folder, whatever its name tries, and return its bytes."""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from pathlib import Path

MAX_FILE_BYTES = 50_000_000
MAX_NAME_BYTES = 255
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


def read_file(root: Path, relative: str) -> bytes:
    """Return the bytes of a regular file inside ``root``; links are followed only inside it.

    Raises ``UnusableImage`` with bad_name, outside_root, not_regular, missing, unreadable, empty
    or too_large.
    """
    check_name(relative)
    for attempt in range(1, READ_ATTEMPTS + 1):
        try:
            return _read_once(root, relative)
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


def _read_once(root: Path, relative: str) -> bytes:
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
        if status.st_size == 0:
            raise UnusableImage("empty", "the file has no bytes")
        # One byte more than expected notices growth; asking for more would reserve it.
        content = file.read(min(status.st_size, MAX_FILE_BYTES) + 1)
    if len(content) > MAX_FILE_BYTES:
        limit = f"at most {MAX_FILE_BYTES} are accepted"
        raise UnusableImage("too_large", f"{status.st_size} bytes, {limit}")
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
