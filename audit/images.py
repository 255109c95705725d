"""Pictures: inspected once at import, opened the same way for models and for browsers.

Only JPEG, PNG and WebP are decoded; a file is judged by its content, never by its name. Everything
that is wrong with one has a code (see ``UnusableImage``), so that the item is set aside with a
reason and the run goes on. Limits are checked on the header, before any pixel is decoded.
"""

from __future__ import annotations

import hashlib
import io
import re
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from audit.image_files import UnusableImage, is_piece, read_file

__all__ = ["InspectedImage", "UnusableImage", "derivative", "inspect", "media_type", "open_rgb"]

MAX_PIXELS = 50_000_000
# A progressive JPEG visits every pixel once per scan; 1.6 ms per million were measured, so this
# is a few seconds. A count instead of a clock: the verdict is the same on every machine.
MAX_MEGAPIXEL_SCANS = 1000
LOSSLESS_BELOW = 64

_FORMATS = ("JPEG", "PNG", "WEBP")
_SUFFIXES = {
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jfif"},
    "PNG": {".png"},
    "WEBP": {".webp"},
}
_FOREIGN = (
    (b"GIF8", "a GIF"),
    (b"II*\0", "a TIFF"),
    (b"MM\0*", "a TIFF"),
    (b"BM", "a BMP"),
    (b"%PDF", "a PDF"),
    (b"%!PS", "a PostScript file"),
    (b"8BPS", "a Photoshop file"),
    (b"SIMPLE  =", "a FITS file"),
    (b"\0\0\1\0", "an icon"),
    (b"\0\0\2\0", "a Targa or cursor file"),
    (b"\x1f\x8b", "a gzip file"),
    (b"PK\x03\x04", "a zip file"),
    (b"\0\0\0\x0cjP", "a JPEG 2000"),
)
_DECODE_ERRORS = (
    OSError, ValueError, SyntaxError, TypeError, KeyError, IndexError, EOFError, OverflowError,
    ZeroDivisionError, RecursionError, MemoryError, struct.error, UserWarning,
)  # fmt: skip

_EXIF_ORIENTATION = 0x0112
_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")

Result = TypeVar("Result")

# Between one and two times Pillow's own limit it only warns, and decodes.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


@dataclass(frozen=True, slots=True)
class InspectedImage:
    """What import records of a usable picture; width and height are as it is shown."""

    sha256: str
    width: int
    height: int
    format: str
    notices: tuple[str, ...]


def inspect(root: Path, relative: str) -> InspectedImage:
    """Read, decode and describe the picture at ``relative``, or raise ``UnusableImage``.

    ``relative`` is a path below ``root`` or, as ``read_file`` takes it, a piece of a file there.

    Notices: ext_mismatch (the suffix names another format), first_frame (a multi-picture file),
    exif_unreadable (orientation unknown, shown as stored), scaled_16_bit.
    """
    content = read_file(root, relative)
    picture, image_format, notices = _decode(content)
    suffix = PurePosixPath(relative).suffix.lower()
    if suffix not in _SUFFIXES[image_format] and not is_piece(relative):
        notices = ("ext_mismatch", *notices)
    digest = hashlib.sha256(content).hexdigest()
    return InspectedImage(digest, picture.width, picture.height, image_format, notices)


def open_rgb(root: Path, relative: str, *, sha256: str | None) -> Image.Image:
    """Return the picture as RGB, upright, on white, without metadata: what models and people see.

    ``sha256`` is the hash recorded at import; a file with another is refused as hash_mismatch.
    Colour profiles are not applied, for both alike.
    """
    content = read_file(root, relative)
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise UnusableImage("hash_mismatch", "the file is not the one that was imported")
    return _decode(content)[0]


def derivative(image: Image.Image, max_side: int, *, image_format: str = "WEBP") -> bytes:
    """Return the picture re-encoded for a browser, its longer side at most ``max_side``.

    Pictures below 64 pixels stay lossless PNG at their own size; the page enlarges their pixels.
    """
    longest = max(image.size)
    plain = image.copy()
    plain.info = {}
    output = io.BytesIO()
    if longest < LOSSLESS_BELOW:
        plain.save(output, "PNG")
        return output.getvalue()
    if longest > max_side:
        width, height = (max(1, round(side * max_side / longest)) for side in image.size)
        plain = plain.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    if image_format == "WEBP":
        plain.save(output, "WEBP", quality=85, method=3)
    else:
        plain.save(output, image_format)
    return output.getvalue()


def media_type(content: bytes) -> str:
    """Return the media type of what ``derivative`` made."""
    return "image/png" if content.startswith(b"\x89PNG") else "image/webp"


def _decode(content: bytes) -> tuple[Image.Image, str, tuple[str, ...]]:
    """Return the RGB picture, its format by content, and notices."""
    notices: list[str] = []
    picture = _guard(content, lambda: Image.open(io.BytesIO(content), formats=_FORMATS))
    _check_header(picture, content)
    if picture.format == "MPO":
        notices.append("first_frame")
    _guard(content, picture.load)
    image_format = "JPEG" if picture.format == "MPO" else str(picture.format)
    if picture.mode.startswith("I"):
        notices.append("scaled_16_bit")
    orientation = 1
    try:
        orientation = _read_orientation(picture.info.get("exif", b""))
    except (struct.error, ValueError):
        notices.append("exif_unreadable")
    upright = _to_rgb(picture)
    if orientation in _TRANSPOSES:
        upright = upright.transpose(_TRANSPOSES[orientation])
    upright.info = {}
    return upright, image_format, tuple(notices)


def _guard(content: bytes, step: Callable[[], Result]) -> Result:
    """Run one step of Pillow's and turn whatever it raises into a code."""
    try:
        return step()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnusableImage("too_large", str(error)) from error
    except UnidentifiedImageError as error:
        raise _unidentified(content) from error
    except _DECODE_ERRORS as error:
        is_bomb = isinstance(error, MemoryError) or "too large" in str(error)
        code = "bomb" if is_bomb else "truncated"
        raise UnusableImage(code, f"cannot be decoded: {error}") from error


def _unidentified(content: bytes) -> UnusableImage:
    if content.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")) or content[8:12] == b"WEBP":
        return UnusableImage("truncated", "the header is damaged or cut short")
    if content.startswith(b"GIF8") and b"NETSCAPE2.0" in content:
        return UnusableImage("animated", "an animated GIF")
    what = next((name for magic, name in _FOREIGN if content.startswith(magic)), None)
    if what is None and content[4:8] == b"ftyp":
        what = "an AVIF, HEIF or video file"
    if what is None and b"<svg" in content[:4096].lower():
        what = "an SVG"
    if what is None:
        return UnusableImage("not_image", "the content is no picture")
    return UnusableImage("format", f"{what}; JPEG, PNG and WebP are accepted")


def _check_header(picture: Image.Image, content: bytes) -> None:
    n_pixels = picture.width * picture.height
    if n_pixels > MAX_PIXELS:
        size = f"{picture.width} x {picture.height} pixels"
        raise UnusableImage("too_large", f"{size}, at most {MAX_PIXELS} are accepted")
    if picture.format != "MPO" and getattr(picture, "n_frames", 1) > 1:
        raise UnusableImage("animated", "more than one frame")
    if picture.format in {"JPEG", "MPO"}:
        n_scans = _count_scans(content)
        if n_scans * n_pixels > MAX_MEGAPIXEL_SCANS * 1_000_000:
            detail = f"{n_scans} scans of {n_pixels} pixels would take too long to decode"
            raise UnusableImage("decode_timeout", detail)


def _count_scans(content: bytes) -> int:
    """Return how many scans the first JPEG in ``content`` declares."""
    n_scans = 0
    position = 2
    while (marker := _NEXT_MARKER.search(content, position)) is not None:
        kind = content[marker.start() + 1]
        position = marker.end()
        if kind == 0xD9:
            break
        if kind == 0xDA:
            n_scans += 1
        if kind not in {0x01, 0xD8}:  # all others are followed by their length
            position += int.from_bytes(content[position : position + 2])
    return n_scans


def _read_orientation(exif: bytes) -> int:
    """Return the orientation in the first directory, as browsers read it; 1 when there is none.

    Read by hand: Pillow also looks into XMP, which browsers do not, and rebuilds the whole block.
    """
    tiff = exif.removeprefix(b"Exif\0\0")
    if not tiff:
        return 1
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        raise ValueError("not a TIFF header")
    (start,) = struct.unpack_from(f"{order}I", tiff, 4)
    (n_entries,) = struct.unpack_from(f"{order}H", tiff, start)
    for index in range(n_entries):
        entry = struct.unpack_from(f"{order}HHIH", tiff, start + 2 + 12 * index)
        if entry[:3] == (_EXIF_ORIENTATION, 3, 1):
            return int(entry[3])
    return 1


def _to_rgb(picture: Image.Image) -> Image.Image:
    """Convert by an explicit rule per mode; transparent pixels show white, not their colour."""
    if picture.mode in {"I;16", "I;16B", "I;16L", "I"}:
        wide = np.asarray(picture).astype(np.int64)
        if wide.min() < 0 or wide.max() > 65535:
            raise UnusableImage("bit_depth", "grey values beyond 16 bits")
        return Image.fromarray(((wide + 128) // 257).astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        with_alpha = picture.convert("RGBA")
        white = Image.new("RGB", picture.size, (255, 255, 255))
        white.paste(with_alpha, mask=with_alpha.getchannel("A"))
        return white
    if picture.mode == "RGB":
        return picture
    if picture.mode in {"1", "L", "P", "CMYK", "YCbCr"}:
        return picture.convert("RGB")
    raise UnusableImage("bit_depth", f"pixels of mode {picture.mode} are not accepted")
