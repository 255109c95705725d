"""What people see of a picture is what the models are given, however it is stored."""

from __future__ import annotations

import base64
import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from audit.derivatives import FULL_SIDE
from audit.images import open_rgb
from audit.models import Role
from tests.factories import make_dataset, make_member, make_ready_audit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
# Draws a picture as Chromium shows it on white, and returns size and pixels.
DRAW = """async (address) => {
  const image = new Image();
  image.src = address;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const pen = canvas.getContext("2d");
  pen.fillStyle = "white";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(image, 0, 0);
  const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
  return [canvas.width, canvas.height, [...data]];
}"""


def corners() -> Image.Image:
    """A picture that looks otherwise however it is turned or mirrored."""
    pixels = np.zeros((80, 120, 3), np.uint8)
    pixels[:40, :60], pixels[:40, 60:], pixels[40:, :60] = (
        (220, 30, 30),
        (30, 200, 30),
        (30, 30, 220),
    )
    return Image.fromarray(pixels)


def encode(image: Image.Image, image_format: str, **options) -> bytes:
    output = io.BytesIO()
    image.save(output, image_format, **options)
    return output.getvalue()


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(corners(), "JPEG", exif=exif, quality=95)


def see_through() -> bytes:
    image = corners().convert("RGBA")
    image.paste((255, 0, 0, 0), (60, 40, 120, 80))
    return encode(image, "PNG")


STORED = {
    **{f"orientation {each}": turned(each) for each in range(1, 9)},
    "transparent red": see_through(),
    "grey and transparent": encode(Image.new("LA", (90, 70), (0, 0)), "PNG"),
    "CMYK": encode(corners().convert("CMYK"), "JPEG", quality=95),
    "a pixel": encode(Image.new("RGB", (1, 1), "red"), "PNG"),
    "a strip": encode(corners().resize((5000, 1)), "PNG"),
}


@pytest.mark.row("B011", "B012", "B014", "B021", "B022", "B023", "B024", "B025", "B026", "B027")
@pytest.mark.row("B028", "B035")
def test_people_and_models_see_the_same_picture_and_so_does_a_browser_by_itself(make_page):
    dataset = make_dataset(n_items=len(STORED))
    items = list(dataset.items.order_by("position"))
    for item, content in zip(items, STORED.values(), strict=True):
        (dataset.folder / item.image).write_bytes(content)
        item.content_sha256 = hashlib.sha256(content).hexdigest()
        item.save()
    page = make_page(make_member(dataset.project, Role.MAINTAINER))
    for item, (name, content) in zip(items, STORED.items(), strict=True):
        given = open_rgb(dataset.folder, item.image, sha256=item.content_sha256)
        width, height, shown = page.evaluate(DRAW, f"/items/{item.pk}/image/")
        pixels = np.array(shown, dtype=int).reshape(height, width, 4)[..., :3]
        model = np.asarray(given.resize((width, height)), dtype=int)
        largest = min(1, FULL_SIDE / max(given.size))
        assert (width, height) == tuple(max(1, round(side * largest)) for side in given.size), name
        assert np.abs(pixels - model).mean() < 6, name
        if name == "CMYK":  # a browser has a colour profile of its own for these
            continue
        itself = "data:image/x;base64," + base64.b64encode(content).decode()
        width, height, shown = page.evaluate(DRAW, itself)
        assert (width, height) == given.size, name
        pixels = np.array(shown, dtype=int).reshape(height, width, 4)[..., :3]
        assert np.abs(pixels - np.asarray(given, dtype=int)).mean() < 3, name


@pytest.mark.row("B035")
def test_a_pixel_and_a_strip_are_enlarged_without_blurring(make_page):
    audit = make_ready_audit()
    item = audit.dataset.items.first()
    page = make_page(make_member(audit.dataset.project, Role.MAINTAINER))
    for size in ((1, 1), (1, 5000), (5000, 1)):
        content = encode(Image.new("RGB", size, "red"), "PNG")
        (audit.dataset.folder / item.image).write_bytes(content)
        item.content_sha256, (item.width, item.height) = hashlib.sha256(content).hexdigest(), size
        item.save()
        page.goto(f"/audits/{audit.pk}/queue/{item.pk}/")
        picture = page.locator("img.item-image")
        assert picture.bounding_box()["width"] >= 16, size
        is_blocky = picture.evaluate("one => getComputedStyle(one).imageRendering") == "pixelated"
        assert is_blocky == (size[0] < 64), size
