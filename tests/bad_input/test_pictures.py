"""A folder of every hostile picture, from the import to the release; and what no mock can fail."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from PIL import Image, ImageCms, ImageOps

from audit.images import UnusableImage, inspect, open_rgb
from audit.models import Dataset, Flag, Role
from reviews.decisions import Snapshot
from reviews.release_files import export_release
from tests.audit.test_images import code_of_bytes, empty_png, encode, png_chunk, smooth_picture
from tests.bad_input.test_audits import logits_for, page_of, run_audit
from tests.factories import make_member

ROOT = Path(__file__).resolve().parents[2]
JPEG = encode(smooth_picture((400, 300)))
PNG = encode(smooth_picture(), "PNG")
BOMB = zlib.compress(b"\0" * 200_000_000, 9)


def animated() -> bytes:
    frames = [smooth_picture(), ImageOps.mirror(smooth_picture())]
    return encode(frames[0], "PNG", save_all=True, append_images=frames[1:])


# What lies in the folder, and why it is set aside; "" where it is a picture like any other.
HOSTILE = {
    "empty.jpg": (b"", "empty"),
    "one-byte.jpg": (b"\xff", "not_image"),
    "page.jpg": (b"<!DOCTYPE html><script>alert(1)</script>", "not_image"),
    "half.jpg": (JPEG[: len(JPEG) // 2], "truncated"),
    "short.jpg": (JPEG[:-2], "truncated"),
    "drawing.jpg": (b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", "format"),
    "film.jpg": (animated(), "animated"),
    "bomb.jpg": (PNG[:33] + png_chunk(b"iCCP", b"x\0\0" + BOMB) + PNG[33:], "bomb"),
    "huge.jpg": (empty_png(11_000, 8_000), "too_large"),
    "float.jpg": (encode(Image.fromarray(np.zeros((4, 4), np.float32)), "TIFF"), "format"),
    "a\u202egpj.jpg": (JPEG, "bad_name"),
    "a\nERROR all is lost.jpg": (JPEG, "bad_name"),
    "-rf.jpg": (JPEG, ""),
    "<img src=x onerror=alert(1)>.jpg": (JPEG, ""),
    "tail.jpg": (JPEG + b"<script>alert(1)</script>", ""),
}


@pytest.mark.django_db
@pytest.mark.row("B001", "B002", "B003", "B004", "B005", "B009", "B018", "B019", "B031", "B034")
@pytest.mark.row("B037", "B041")
def test_every_hostile_picture_is_set_aside_with_its_reason_and_leaves_with_its_label(tmp_path):
    folder = tmp_path / "set"
    for name, (content, _) in HOSTILE.items():
        (folder / "cat" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "cat" / name).write_bytes(content)
    rng = np.random.default_rng(0)
    for number in range(40):
        path = folder / ("dog" if number % 2 else "cat") / f"{number:02d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (9, 9, 3), dtype=np.uint8)).save(path)
    said = io.StringIO()
    call_command("import_dataset", "pets", folder, "--format", "imagefolder", "--json", stdout=said)
    bad = {f"cat/{name}": code for name, (_, code) in HOSTILE.items() if code}
    dataset = Dataset.objects.get()
    found = dict(dataset.items.quarantined().values_list("key", "quarantine_code"))
    assert found == bad
    assert json.loads(said.getvalue())["quarantined"] == len(bad) == dataset.n_quarantined

    audit = run_audit(dataset, *(logits_for(dataset, seed) for seed in (0, 1)))
    scored = {each.calibration["n_scored"] for each in audit.experts.all()}
    assert scored == {dataset.n_items - len(bad)}
    assert not Flag.objects.exclude(item__quarantine_code="").exists()

    page = page_of(audit)
    for code in set(bad.values()):
        assert code in page
    assert "<img src=x" not in page
    # A name that turns the writing around is shown, and turns nothing but itself around.
    assert "a\u202egpj.jpg" in page
    assert "\u202e" not in re.sub(r"<bdi[^>]*>[^<]*</bdi>", "", page)
    client = Client()
    client.force_login(make_member(dataset.project, Role.MAINTAINER))
    for item in dataset.items.all():
        answer = client.get(reverse("audit:item_image", args=[item.pk]))
        assert answer.status_code == (404 if item.is_quarantined else 200), item.key
        assert answer["Content-Type"] in {"image/png", "image/webp", "text/html; charset=utf-8"}

    export_release(audit, "lenient", Snapshot.now(audit), tmp_path / "out")
    with (tmp_path / "out" / "labels.csv").open(newline="", encoding="utf-8") as stream:
        rows = {row["key"]: row for row in csv.DictReader(stream)}
    assert len(rows) == dataset.n_items
    for key, code in bad.items():
        assert rows[key]["cleaned_label"] == rows[key]["given_label"] == "0"
        assert rows[key]["reason"] == f"quarantined: {code}"


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize(
    "profile", [b"no profile", b"\0" * 128, SRGB[:-40]], ids=["nonsense", "zeros", "cut"]
)
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_b031_a_broken_colour_profile_changes_nothing(tmp_path, profile, image_format):
    """Profiles are applied to no picture, so a broken one is no reason to set one aside."""
    options = {"lossless": True} if image_format == "WEBP" else {}
    plain, broken = (
        encode(smooth_picture(), image_format, **options, **more)
        for more in ({}, {"icc_profile": profile})
    )
    pixels = []
    for content in (plain, broken):
        (tmp_path / "a.JPEG").write_bytes(content)
        pixels.append(np.asarray(open_rgb(tmp_path, "a.JPEG", sha256=None)))
    np.testing.assert_array_equal(*pixels)


FITS = b"SIMPLE  =                    T" + b" " * 2850
MCIDAS = struct.pack(">8i", 0, 4, 0, 0, 0, 0, 0, 0) + b"\0" * 224


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (gzip.compress(FITS + b"\0" * 100_000_000), "format"),
        (bz2.compress(b"\0" * 10_000_000), "not_image"),
        (b"\xff\xff\x00\x04\x00\x04\x01\xff\xff\xff\xff" + b"\0" * 64, "not_image"),
        (MCIDAS, "not_image"),
        (b"\0\0\x02\0\0\0\0\0\0\0\0\0\x04\0\x04\0\x18\0" + b"\0" * 48, "format"),
    ],
    ids=["packed FITS", "bzip2", "GD", "McIdas", "TGA"],
)
def test_b038_formats_with_weak_decoders_are_refused_unopened(tmp_path, monkeypatch, content, code):
    """GD and McIdas have no mark of their own: to us they are no pictures at all."""
    Image.init()
    for name in set(Image.OPEN) - {"JPEG", "PNG", "WEBP"}:
        accept = Image.OPEN[name][1]
        enter = lambda *_args, _name=name: pytest.fail(f"{_name}'s decoder was entered")
        monkeypatch.setitem(Image.OPEN, name, (enter, accept))
    assert code_of_bytes(tmp_path, content) == code


BROKEN_DISK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int left = -1;
ssize_t read(int fd, void *buffer, size_t size) {
    static ssize_t (*real)(int, void *, size_t);
    char link[64], path[4096];
    if (!real) real = dlsym(RTLD_NEXT, "read");
    if (left < 0) left = atoi(getenv("FAILURES"));
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length > 0 ? length : 0] = 0;
    if (strstr(path, "/bad.JPEG") && left > 0) { left--; errno = EIO; return -1; }
    return real(fd, buffer, size);
}
"""
LOOK = """
import sys
from pathlib import Path
from audit.images import UnusableImage, inspect
for name in ("bad.JPEG", "good.JPEG"):
    try:
        print(inspect(Path(sys.argv[1]), name).format)
    except UnusableImage as problem:
        print(problem.code)
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="no compiler for a library between")
def test_b045_a_disk_that_fails_is_read_three_times_and_the_next_file_all_the_same(tmp_path):
    """The read call itself fails, by a library that is loaded before the system's."""
    source, library = tmp_path / "disk.c", tmp_path / "disk.so"
    source.write_text(BROKEN_DISK)
    command = ["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    for name in ("bad.JPEG", "good.JPEG"):
        (tmp_path / name).write_bytes(JPEG)
    verdicts = {}
    for failures in (0, 2, 3):
        done = subprocess.run(
            [sys.executable, "-c", LOOK, str(tmp_path)],
            cwd=ROOT,
            env=os.environ | {"LD_PRELOAD": str(library), "FAILURES": str(failures)},
            capture_output=True,
            text=True,
            check=True,
        )
        verdicts[failures] = done.stdout.split()
    assert verdicts == {
        0: ["JPEG", "JPEG"],
        2: ["JPEG", "JPEG"],
        3: ["unreadable", "JPEG"],
    }


def test_b006_damaged_bytes_get_the_same_verdict_in_every_process(tmp_path):
    """Three kilobytes of noise, looked at by processes that hash and thread otherwise."""
    content = bytearray(encode(smooth_picture((900, 700)), quality=95))
    middle = len(content) // 2
    assert len(content) > 10_000
    content[middle : middle + 3000] = np.random.default_rng(0).bytes(3000)
    for name in ("bad.JPEG", "good.JPEG"):
        (tmp_path / name).write_bytes(bytes(content))
    said = []
    for number in (1, 2):
        done = subprocess.run(
            [sys.executable, "-c", LOOK, str(tmp_path)],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": str(number), "OMP_NUM_THREADS": str(number)},
            capture_output=True,
            text=True,
            check=True,
        )
        said += done.stdout.split()
    try:
        here = inspect(tmp_path, "bad.JPEG").format
    except UnusableImage as problem:
        here = problem.code
    assert said == [here] * 4
