"""Pictures for browsers: only re-encoded bytes, only for members, kept by content."""

from __future__ import annotations

import hashlib
import io

import pytest
from django.test import Client
from django.urls import reverse
from PIL import Image

from audit.derivatives import load_derivative
from audit.models import Item, Role
from tests.factories import make_dataset, make_member, make_project

pytestmark = pytest.mark.django_db
VIEWS = ["audit:item_image", "audit:item_thumb"]


def make_item(size: tuple[int, int] = (28, 28), tail: bytes = b"", suffix: str = "PNG") -> Item:
    item = make_dataset(make_project(), n_items=1).items.get()
    path = item.dataset.folder / item.image
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(buffer, suffix)
    path.write_bytes(buffer.getvalue() + tail)
    item.content_sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    item.width, item.height = size
    item.save()
    return item


def client_for(item: Item, role: Role = Role.ANNOTATOR) -> Client:
    client = Client()
    client.force_login(make_member(item.dataset.project, role))
    return client


@pytest.mark.row("A10")
@pytest.mark.parametrize("view", VIEWS)
def test_b009_a_member_gets_a_picture_that_can_do_nothing_but_be_looked_at(view):
    item = make_item((300, 200), tail=b"<script>alert(1)</script>", suffix="JPEG")
    answer = client_for(item).get(reverse(view, args=[item.pk]))
    assert answer.status_code == 200
    assert answer["Content-Type"] == "image/webp"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert answer["Cache-Control"] == "private, max-age=31536000, immutable"
    assert "Cookie" in answer["Vary"]
    assert answer["Content-Disposition"] == f'inline; filename="item-{item.pk}.webp"'
    assert b"<script" not in answer.content
    assert Image.open(io.BytesIO(answer.content)).size == (
        (300, 200) if "image" in view else (160, 107)
    )


def test_a_digit_of_28_pixels_keeps_every_pixel():
    item = make_item()
    answer = client_for(item).get(reverse("audit:item_image", args=[item.pk]))
    assert answer["Content-Type"] == "image/png"
    shown = Image.open(io.BytesIO(answer.content)).convert("RGB")
    original = Image.open(item.dataset.folder / item.image).convert("RGB")
    assert shown.tobytes() == original.tobytes()


def test_a_picture_is_made_once_and_then_read_from_its_place(fresh_home):
    item = make_item((300, 200))
    first = load_derivative(item, 160)
    (item.dataset.folder / item.image).unlink()
    assert load_derivative(item, 160) == first
    kept = list(fresh_home.glob("derivatives/*/*"))
    assert [path.name.split("-")[0] for path in kept] == [item.content_sha256]


@pytest.mark.parametrize("view", VIEWS)
def test_a_file_that_changed_since_the_import_is_not_shown(view):
    item = make_item()
    (item.dataset.folder / item.image).write_bytes(b"something else")
    assert client_for(item).get(reverse(view, args=[item.pk])).status_code == 404


@pytest.mark.parametrize("view", VIEWS)
def test_pictures_of_other_projects_do_not_exist(view):
    item = make_item()
    stranger = Client()
    stranger.force_login(make_member(make_project(), Role.ADMIN))
    address = reverse(view, args=[item.pk])
    assert stranger.get(address).status_code == 404
    assert Client().get(address).status_code == 302
    assert client_for(item).post(address).status_code == 405
