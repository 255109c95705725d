"""A data set as it is stored: odd files set aside, equal contents noted, hashes kept."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from PIL import Image

from audit.models import Dataset, Item, Role
from tests.factories import make_member

pytestmark = pytest.mark.django_db


def jpeg(colour: int) -> bytes:
    output = io.BytesIO()
    Image.new("RGB", (70, 70), (colour, 80, 200)).save(output, "JPEG")
    return output.getvalue()


def bring_in(folder: Path, capsys, files: dict[str, bytes]) -> dict:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    call_command("import_dataset", "set", folder, "--format", "imagefolder", "--json")
    document: dict = json.loads(capsys.readouterr().out)
    return document


def test_b046_equal_pictures_are_noted_and_keep_their_labels(tmp_path, capsys):
    document = bring_in(
        tmp_path,
        capsys,
        {
            "cat/1.jpg": jpeg(10),
            "cat/2.jpg": jpeg(90),
            "cat/3.jpg": jpeg(90),
            "dog/1.jpg": jpeg(170),
            "dog/2.jpg": jpeg(10),
        },
    )
    assert document["noted"] == {"duplicate": 2, "duplicate_other_label": 2}
    items = {item.key: item for item in Item.objects.all()}
    assert items["cat/1.jpg"].notices == items["dog/2.jpg"].notices == ["duplicate_other_label"]
    assert items["cat/2.jpg"].notices == items["cat/3.jpg"].notices == ["duplicate"]
    assert items["dog/1.jpg"].notices == []
    assert [items[key].given_label for key in ("cat/1.jpg", "dog/2.jpg")] == [0, 1]
    assert document["quarantined"] == 0


def test_b003_b037_what_is_no_picture_is_set_aside_and_never_served(tmp_path, capsys):
    files = {
        "a/good.jpg": jpeg(10),
        "a/page.jpg": b"<!DOCTYPE html><script>alert(1)</script>",
        "a/drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>",
    }
    document = bring_in(tmp_path, capsys, files)
    assert document["reasons"] == {"not_image": 1, "format": 1}
    client = Client()
    client.force_login(make_member(Dataset.objects.get().project, Role.ADMIN))
    for item in Item.objects.all():
        for view in ("audit:item_image", "audit:item_thumb"):
            answer = client.get(reverse(view, args=[item.pk]))
            assert answer.status_code == (404 if item.is_quarantined else 200)
            assert "svg" not in answer["Content-Type"]


def test_b007_b010_what_was_found_is_recorded(tmp_path, capsys):
    output = io.BytesIO()
    Image.new("RGB", (70, 70)).save(output, "PNG")
    document = bring_in(tmp_path, capsys, {"a/1.jpg": output.getvalue(), "a/2.jpg": jpeg(10)})
    assert document["noted"] == {"ext_mismatch": 1}
    assert all(len(item.content_sha256) == 64 for item in Item.objects.all())
