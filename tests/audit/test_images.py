"""Every kind of broken or hostile picture gets its code; good ones look the same everywhere."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import pickle
import socket
import struct
import time
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps, PngImagePlugin

from audit import image_files
from audit.images import UnusableImage, derivative, inspect, media_type, open_rgb

SIZE = (48, 32)


def smooth_picture(size: tuple[int, int] = SIZE) -> Image.Image:
    """A colour gradient: it survives JPEG nearly unchanged and has no symmetry."""
    width, height = size
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    pixels = np.stack([x, y, (x + y) / 4], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def encode(image: Image.Image, image_format: str = "JPEG", **options) -> bytes:
    output = io.BytesIO()
    image.save(output, image_format, **options)
    return output.getvalue()


def store(root: Path, content: bytes, name: str = "a.JPEG") -> str:
    (root / name).write_bytes(content)
    return name


def code_of(root: Path, name: str = "a.JPEG") -> str:
    with pytest.raises(UnusableImage) as problem:
        inspect(root, name)
    assert problem.value.detail
    return problem.value.code


def code_of_bytes(root: Path, content: bytes) -> str:
    return code_of(root, store(root, content))


def opened(root: Path, content: bytes, name: str = "a.JPEG") -> np.ndarray:
    image = open_rgb(root, store(root, content, name), sha256=None)
    assert image.mode == "RGB"
    assert image.info == {}
    return np.asarray(image).astype(int)


def mean_difference(one: np.ndarray, other: Image.Image) -> float:
    return float(np.abs(one - np.asarray(other.convert("RGB")).astype(int)).mean())


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def empty_png(width: int, height: int, *, bits: int = 1) -> bytes:
    """A valid black PNG of any size in a few kilobytes: its rows compress a thousandfold."""
    row = b"\0" * (1 + (width * bits + 7) // 8)
    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def test_a_good_picture_is_described(tmp_path):
    content = encode(smooth_picture())
    inspected = inspect(tmp_path, store(tmp_path, content))
    assert inspected.sha256 == hashlib.sha256(content).hexdigest()
    assert (inspected.width, inspected.height) == SIZE
    assert (inspected.format, inspected.notices) == ("JPEG", ())


@pytest.mark.parametrize(
    ("content", "code"),
    [
        pytest.param(b"", "empty", id="B001"),
        pytest.param(b"\xff", "not_image", id="B002"),
        pytest.param(b"<!DOCTYPE html><html><body>x</body></html>", "not_image", id="B003"),
        pytest.param(encode(smooth_picture())[:400], "truncated", id="B004 inside the header"),
    ],
)
def test_b001_b002_b003_b004_files_that_are_no_picture_are_set_aside(tmp_path, content, code):
    assert code_of_bytes(tmp_path, content) == code


def test_b004_half_a_jpeg_is_truncated_although_its_header_is_fine(tmp_path):
    content = encode(smooth_picture((400, 300)))
    Image.open(io.BytesIO(content[: len(content) // 2])).verify()
    assert code_of_bytes(tmp_path, content[: len(content) // 2]) == "truncated"


@pytest.mark.parametrize("progressive", [False, True])
def test_b005_a_jpeg_without_its_last_two_bytes_is_truncated(tmp_path, progressive):
    content = encode(smooth_picture(), progressive=progressive)
    assert code_of_bytes(tmp_path, content[:-2]) == "truncated"


@pytest.mark.parametrize("image_format", ["PNG", "WEBP"])
def test_b004_half_a_png_or_webp_is_truncated(tmp_path, image_format):
    content = encode(smooth_picture((400, 300)), image_format)
    assert code_of_bytes(tmp_path, content[: len(content) // 2]) == "truncated"


def test_b006_noise_in_the_middle_gets_the_same_verdict_every_time(tmp_path):
    content = bytearray(encode(smooth_picture((400, 300)), quality=95))
    middle = len(content) // 2
    content[middle : middle + 3000] = np.random.default_rng(0).bytes(3000)
    name = store(tmp_path, bytes(content))

    def verdict(_: int) -> object:
        try:
            return inspect(tmp_path, name)
        except UnusableImage as problem:
            return str(problem)

    with ThreadPoolExecutor(3) as pool:
        assert len(set(pool.map(verdict, range(6)))) == 1


def test_b007_b008_changed_bytes_are_refused_by_their_hash(tmp_path):
    content = encode(smooth_picture())
    name = store(tmp_path, content)
    recorded = inspect(tmp_path, name).sha256
    open_rgb(tmp_path, name, sha256=recorded)
    store(tmp_path, encode(smooth_picture(), quality=60))
    with pytest.raises(UnusableImage) as problem:
        open_rgb(tmp_path, name, sha256=recorded)
    assert problem.value.code == "hash_mismatch"


def test_b008_without_a_recorded_hash_changed_bytes_that_still_decode_are_taken(tmp_path):
    content = bytearray(encode(smooth_picture((200, 100)), quality=95))
    for place in range(5):
        content[len(content) // 2 + 40 * place] ^= 1
    name = store(tmp_path, bytes(content))
    recorded = inspect(tmp_path, name)
    assert recorded.sha256 == hashlib.sha256(content).hexdigest()
    assert open_rgb(tmp_path, name, sha256=recorded.sha256).size == (200, 100)


def test_b009_what_follows_a_jpeg_is_ignored_and_never_served(tmp_path):
    plain = encode(smooth_picture((200, 100)))
    noise = np.random.default_rng(0).bytes(1_000_000)
    polyglot = plain + b"<script>alert(1)</script>" + noise
    np.testing.assert_array_equal(opened(tmp_path, polyglot), opened(tmp_path, plain))
    served = derivative(open_rgb(tmp_path, store(tmp_path, polyglot), sha256=None), 512)
    assert b"<script" not in served
    assert len(served) < 20_000


def test_b010_a_png_named_jpeg_is_read_by_content_with_a_notice(tmp_path):
    inspected = inspect(tmp_path, store(tmp_path, encode(smooth_picture(), "PNG")))
    assert (inspected.format, inspected.notices) == ("PNG", ("ext_mismatch",))


def test_b011_b012_cmyk_jpegs_keep_their_colours(tmp_path):
    # Pillow writes CMYK as Adobe does: inverted, with an APP14 marker that says so.
    content = encode(smooth_picture().convert("CMYK"), quality=95)
    assert b"Adobe" in content
    assert mean_difference(opened(tmp_path, content), smooth_picture()) < 3


@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_b013_grey_becomes_three_equal_channels(tmp_path, image_format):
    pixels = opened(tmp_path, encode(smooth_picture().convert("L"), image_format))
    assert (pixels[..., 0] == pixels[..., 1]).all()
    assert (pixels[..., 0] == pixels[..., 2]).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_b014_transparent_pixels_show_white_not_their_hidden_colour(tmp_path, mode):
    hidden = Image.new("RGBA", (4, 1), (255, 0, 0, 0)).convert(mode)
    hidden.putpixel((1, 0), (0, 255) if mode == "LA" else (0, 0, 0, 255))
    hidden.putpixel((2, 0), (0, 128) if mode == "LA" else (0, 0, 0, 128))
    pixels = opened(tmp_path, encode(hidden, "PNG"))
    assert pixels[0, :, 0].tolist() == [255, 0, 127, 255]
    assert (pixels[..., 0] == pixels[..., 1]).all()


def test_b014_a_transparent_webp_shows_white(tmp_path):
    content = encode(Image.new("RGBA", (4, 4), (255, 0, 0, 0)), "WEBP", lossless=True, exact=True)
    assert (opened(tmp_path, content) == 255).all()


def test_b015_a_palette_with_transparency_is_composited(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    content = encode(image, "PNG", transparency=b"\x00\xff")
    assert opened(tmp_path, content).tolist() == [[[255, 255, 255], [0, 0, 255]]]


def test_b015_a_transparent_colour_key_is_composited(tmp_path):
    image = Image.new("RGB", (2, 1), (9, 9, 9))
    image.putpixel((1, 0), (1, 2, 3))
    content = encode(image, "PNG", transparency=(9, 9, 9))
    assert opened(tmp_path, content).tolist() == [[[255, 255, 255], [1, 2, 3]]]


def test_b016_one_bit_is_black_and_white(tmp_path):
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    assert opened(tmp_path, encode(image, "PNG")).tolist() == [[[0] * 3, [255] * 3]]


def test_b017_sixteen_bit_grey_is_scaled_not_clipped(tmp_path):
    values = np.array([[0, 128, 257, 32768, 65535]], dtype=np.uint16)
    content = encode(Image.fromarray(values), "PNG")
    assert opened(tmp_path, content)[0, :, 0].tolist() == [0, 0, 1, 128, 255]
    assert "scaled_16_bit" in inspect(tmp_path, "a.JPEG").notices


def test_b018_a_float_tiff_is_refused_by_format(tmp_path):
    content = encode(Image.fromarray(np.zeros((4, 4), np.float32)), "TIFF")
    assert code_of_bytes(tmp_path, content) == "format"


@pytest.mark.parametrize("image_format", ["GIF", "PNG", "WEBP"])
def test_b019_animations_are_set_aside(tmp_path, image_format):
    frames = [smooth_picture(), ImageOps.mirror(smooth_picture())]
    content = encode(frames[0], image_format, save_all=True, append_images=frames[1:], loop=0)
    assert code_of_bytes(tmp_path, content) == "animated"


def test_b019_a_still_gif_is_a_format_that_is_not_read(tmp_path):
    assert code_of_bytes(tmp_path, encode(smooth_picture(), "GIF")) == "format"


def test_b020_a_multi_picture_jpeg_shows_its_first_frame_with_a_notice(tmp_path):
    first, second = smooth_picture(), ImageOps.mirror(smooth_picture())
    content = encode(first, "MPO", save_all=True, append_images=[second])
    assert mean_difference(opened(tmp_path, content), first) < 4
    inspected = inspect(tmp_path, "a.JPEG")
    assert (inspected.format, inspected.notices) == ("JPEG", ("first_frame",))


@pytest.mark.row("B021", "B022", "B023", "B024", "B025", "B026", "B027", "B028")
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_every_orientation_is_shown_upright(tmp_path, orientation, image_format):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if image_format == "WEBP" else {}
    content = encode(smooth_picture(), image_format, exif=exif, **options)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
    np.testing.assert_array_equal(opened(tmp_path, content), np.asarray(expected))
    assert (inspect(tmp_path, "a.JPEG").width == SIZE[0]) == (orientation < 5)


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0nonsense",
        b"Exif\0\0II*\0",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12\0\x03",
    ],
)
def test_b029_unreadable_exif_leaves_the_picture_as_stored_with_a_notice(tmp_path, exif):
    content = encode(smooth_picture(), "PNG", exif=exif)
    plain = opened(tmp_path, encode(smooth_picture(), "PNG"))
    np.testing.assert_array_equal(opened(tmp_path, content), plain)
    assert "exif_unreadable" in inspect(tmp_path, "a.JPEG").notices


def test_b030_metadata_is_never_served(tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "secret place"
    text = PngImagePlugin.PngInfo()
    text.add_text("gps", "secret place")
    pictures = [
        encode(smooth_picture((200, 90)), "JPEG", exif=exif, comment=b"secret place"),
        encode(smooth_picture((200, 90)), "PNG", exif=exif, pnginfo=text),
        encode(smooth_picture((20, 10)), "PNG", exif=exif, pnginfo=text),
    ]
    for content in pictures:
        assert b"secret place" in content
        served = derivative(open_rgb(tmp_path, store(tmp_path, content), sha256=None), 128)
        assert b"secret" not in served
        assert Image.open(io.BytesIO(served)).getexif() == {}


def test_b030_ten_megabytes_of_metadata_do_no_harm(tmp_path):
    content = encode(smooth_picture(), "JPEG")
    segments = b"".join(b"\xff\xe1\xff\xff" + b"x" * 65533 for _ in range(160))
    np.testing.assert_array_equal(
        opened(tmp_path, content[:2] + segments + content[2:]), opened(tmp_path, content)
    )


@pytest.mark.parametrize("kind", [b"iCCP", b"zTXt"])
def test_b031_a_text_chunk_that_unpacks_to_200_mb_is_a_bomb(tmp_path, kind):
    packed = zlib.compress(b"\0" * 200_000_000, 9)
    content = encode(smooth_picture(), "PNG")
    bomb = content[:33] + png_chunk(kind, b"x\0\0" + packed) + content[33:]
    assert len(bomb) < 300_000
    tracemalloc.start()
    assert code_of_bytes(tmp_path, bomb) == "bomb"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


@pytest.mark.parametrize(
    ("width", "height"), [(10_000, 9_500), (14_000, 13_000), (65_500, 65_500), (10_000, 5_001)]
)
def test_b032_b033_b034_too_many_pixels_are_refused_on_the_header(tmp_path, width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (
        png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(b""))
        + png_chunk(b"IEND", b"")
    )
    start = time.monotonic()
    assert code_of_bytes(tmp_path, b"\x89PNG\r\n\x1a\n" + chunks) == "too_large"
    assert time.monotonic() - start < 0.1


def test_b034_a_small_file_of_88_million_pixels_is_refused_at_once(tmp_path):
    content = empty_png(11_000, 8_000)
    assert len(content) < 258_000
    name = store(tmp_path, content)
    start = time.monotonic()
    assert code_of(tmp_path, name) == "too_large"
    assert time.monotonic() - start < 0.1


def test_a_file_over_fifty_megabytes_is_refused_without_reading_it_whole(tmp_path):
    with (tmp_path / "a.JPEG").open("wb") as file:
        file.truncate(50_000_001)
    assert code_of(tmp_path) == "too_large"


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
def test_b035_a_pixel_and_a_strip_are_usable_and_can_be_shown(tmp_path, size):
    content = encode(smooth_picture((60, 60)).resize(size), "PNG")
    inspected = inspect(tmp_path, store(tmp_path, content, "a.png"))
    assert (inspected.width, inspected.height) == size
    served = derivative(open_rgb(tmp_path, "a.png", sha256=None), 256)
    assert max(Image.open(io.BytesIO(served)).size) <= 256


def test_b036_a_progressive_jpeg_with_thousands_of_scans_is_not_decoded(tmp_path):
    content = encode(smooth_picture((1600, 1600)), progressive=True)
    last_scan = content[content.rfind(b"\xff\xda") : -2]
    slow = content[:-2] + last_scan * 500 + b"\xff\xd9"
    start = time.monotonic()
    assert code_of_bytes(tmp_path, slow) == "decode_timeout"
    assert time.monotonic() - start < 1


def test_b036_the_slowest_jpeg_that_is_decoded_takes_less_than_ten_seconds(tmp_path):
    content = encode(smooth_picture((1600, 1600)), progressive=True)
    last_scan = content[content.rfind(b"\xff\xda") : -2]
    slow = content[:-2] + last_scan * 370 + b"\xff\xd9"
    start = time.monotonic()
    inspect(tmp_path, store(tmp_path, slow))
    assert time.monotonic() - start < 10


def test_b036_ordinary_progressive_jpegs_pass(tmp_path):
    content = encode(smooth_picture(), progressive=True)
    assert inspect(tmp_path, store(tmp_path, content)).format == "JPEG"


def test_b037_svg_is_refused_packed_or_not(tmp_path):
    svg = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"></svg>'
    assert code_of_bytes(tmp_path, svg) == "format"
    assert code_of_bytes(tmp_path, zlib.compress(svg, wbits=31)) == "format"


@pytest.mark.parametrize(
    "content",
    [
        b"SIMPLE  =                    T" + b" " * 2850,
        b"%PDF-1.7\n",
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        b"8BPS\0\x01" + b"\0" * 40,
        b"\0\0\1\0\1\0" + b"\0" * 40,
        b"\0\0\2\0" + b"\0" * 40,
        b"BM" + b"\0" * 60,
        b"\0\0\0\x20ftypavif" + b"\0" * 40,
    ],
    ids=["FITS", "PDF", "EPS", "PSD", "ICO", "TGA", "BMP", "AVIF"],
)
def test_b038_other_formats_are_refused_without_entering_their_decoders(
    tmp_path, monkeypatch, content
):
    entered = []
    Image.init()
    for name, (factory, accept) in list(Image.OPEN.items()):
        if name not in {"JPEG", "PNG", "WEBP"}:

            def spy(*args, _name=name, _factory=factory):
                entered.append(_name)
                return _factory(*args)

            monkeypatch.setitem(Image.OPEN, name, (spy, accept))
    assert code_of_bytes(tmp_path, content) == "format"
    assert entered == []


def test_b039_pipes_folders_sockets_and_devices_are_refused_without_hanging(tmp_path):
    os.mkfifo(tmp_path / "pipe.JPEG")
    (tmp_path / "folder.JPEG").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket.JPEG"))
        for name in ("pipe.JPEG", "folder.JPEG", "socket.JPEG"):
            assert code_of(tmp_path, name) == "not_regular"
    assert code_of(Path("/dev"), "null") == "not_regular"


def test_b040_no_path_or_link_leaves_the_root(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    store(tmp_path, encode(smooth_picture()), "outside.JPEG")
    (root / "link.JPEG").symlink_to(tmp_path / "outside.JPEG")
    (root / "passwd.JPEG").symlink_to("/etc/passwd")
    (root / "folder").symlink_to(tmp_path)
    (root / "loop").symlink_to(root / "loop")
    names = ["link.JPEG", "passwd.JPEG", "folder/outside.JPEG", "loop", "loop/a.JPEG"]
    for name in [*names, "../outside.JPEG", "x/../../outside.JPEG", "/etc/passwd", ""]:
        assert code_of(root, name) == "outside_root", name


def test_a_link_inside_the_root_is_followed(tmp_path):
    (tmp_path / "blobs").mkdir()
    store(tmp_path / "blobs", encode(smooth_picture()), "b")
    (tmp_path / "a.JPEG").symlink_to("blobs/b")
    assert inspect(tmp_path, "a.JPEG").format == "JPEG"


@pytest.mark.parametrize(
    "name",
    ["a\nb.JPEG", "a\0b.JPEG", "a\u202egpj.exe", "a\x1b[31m.JPEG", "\udcff.JPEG", "x" * 256],
)
def test_b041_names_that_could_deceive_are_refused_without_repeating_them(tmp_path, name):
    with pytest.raises(UnusableImage) as problem:
        inspect(tmp_path, name)
    assert problem.value.code == "bad_name"
    assert str(problem.value).isascii()
    assert str(problem.value).isprintable()


@pytest.mark.parametrize("name", ["-rf.JPEG", ".hidden.JPEG", "ü ñ 猫.JPEG", "x" * 250 + ".JPEG"])
def test_b041_odd_but_honest_names_are_fine(tmp_path, name):
    assert inspect(tmp_path, store(tmp_path, encode(smooth_picture()), name)).format == "JPEG"


def test_b044_a_deleted_file_is_missing(tmp_path):
    assert code_of(tmp_path, "gone.JPEG") == "missing"
    store(tmp_path, b"x", "file")
    assert code_of(tmp_path, "file/a.JPEG") == "missing"


def test_b044_a_file_without_permission_is_unreadable(tmp_path, monkeypatch):
    store(tmp_path, encode(smooth_picture()))
    store(tmp_path, encode(smooth_picture()), "next.JPEG")
    (tmp_path / "a.JPEG").chmod(0)
    if os.geteuid() == 0:  # who may read every file
        real = os.open

        def refuse(path, *more, **options):
            if path == "a.JPEG":
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return real(path, *more, **options)

        monkeypatch.setattr(os, "open", refuse)
    assert code_of(tmp_path) == "unreadable"
    assert inspect(tmp_path, "next.JPEG").format == "JPEG"


@pytest.mark.parametrize(("failures", "verdict"), [(2, "JPEG"), (3, "unreadable")])
def test_b045_a_read_error_is_tried_twice_more(tmp_path, monkeypatch, failures, verdict):
    name = store(tmp_path, encode(smooth_picture()))
    real, calls = image_files._open_inside, []

    def fail_at_first(*args):
        calls.append(args)
        if len(calls) <= failures:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(*args)

    monkeypatch.setattr(image_files, "_open_inside", fail_at_first)
    if verdict == "JPEG":
        assert inspect(tmp_path, name).format == "JPEG"
    else:
        assert code_of(tmp_path, name) == verdict
    assert len(calls) == 3


def test_no_file_descriptor_stays_open(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    store(tmp_path / "deep" / "er", encode(smooth_picture()))
    store(tmp_path, b"", "empty")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        inspect(tmp_path, "deep/er/a.JPEG")
        for name in ("empty", "deep/er", "deep/er/none", "deep/no/none"):
            code_of(tmp_path, name)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_problem_survives_the_way_between_two_processes():
    copy = pickle.loads(pickle.dumps(UnusableImage("empty", "no bytes")))  # noqa: S301
    assert (copy.code, copy.detail) == ("empty", "no bytes")


def test_small_pictures_are_served_pixel_by_pixel(tmp_path):
    picture = smooth_picture((63, 20))
    served = derivative(picture, 16)
    assert media_type(served) == "image/png"
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(served))), np.asarray(picture))


@pytest.mark.parametrize(
    ("size", "max_side", "expected"),
    [((640, 480), 320, (320, 240)), ((480, 640), 320, (240, 320)), ((100, 64), 320, (100, 64))],
)
def test_larger_pictures_are_served_as_webp_no_larger_than_asked(size, max_side, expected):
    picture = smooth_picture(size)
    served = derivative(picture, max_side)
    assert media_type(served) == "image/webp"
    shown = Image.open(io.BytesIO(served))
    assert shown.size == expected
    assert mean_difference(np.asarray(shown).astype(int), picture.resize(expected)) < 4


BASES = [
    encode(smooth_picture((16, 16)), "JPEG"),
    encode(smooth_picture((16, 16)), "JPEG", progressive=True),
    encode(smooth_picture((16, 16)), "PNG"),
    encode(smooth_picture((16, 16)), "WEBP"),
]


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_damage_anywhere_gives_a_picture_or_a_code_never_another_error(tmp_path_factory, data):
    content = bytearray(data.draw(st.sampled_from(BASES)))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    kept = data.draw(st.integers(0, len(content)))
    root = tmp_path_factory.mktemp("fuzz")
    name = store(root, bytes(content[: kept or None]))
    try:
        inspected = inspect(root, name)
    except UnusableImage:
        return
    assert open_rgb(root, name, sha256=inspected.sha256).width == inspected.width
