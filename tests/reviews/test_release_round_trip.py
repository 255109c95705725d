"""Released questions come in again as the data set that they are."""

from __future__ import annotations

import json

import pytest
from django.core.management import call_command

from audit.models import Dataset
from tests.factories import make_ready_audit, make_sample

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("release_format", "written", "import_format"),
    [("jsonl", "labels.jsonl", "jsonl-mcq"), ("hf", "hf", "hf")],
)
def test_released_questions_of_any_number_of_options_are_the_same_data_set_again(
    tmp_path, capsys, release_format, written, import_format
):
    texts = ["None", "NA", "=1", "<b>d</b>", "e"]
    rows = [
        {
            "id": f"q{number}",
            "subject": "../x",
            "question": f"What is {number}?",
            "answer": 1,
            "options": texts[:size],
        }
        for number, size in enumerate((4, 3, 5, 2, 4, 4))
    ]
    source = tmp_path / "questions.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    call_command("import_dataset", "first", source, format="jsonl-mcq")
    audit = make_ready_audit(Dataset.objects.get(), n_flags=3)
    make_sample(audit, 2)
    out = tmp_path / "release"
    call_command("export_labels", audit.pk, "--out", out, "--format", release_format)
    call_command("import_dataset", "again", out / written, format=import_format)
    first, again = Dataset.objects.order_by("pk")
    assert again.sha256 == first.sha256
    assert again.n_classes == first.n_classes == 5
