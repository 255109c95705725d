"""Fills a new installation with one judged audit: pictures by name, or questions."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

import numpy as np

from tests.benchmarks.web_seed import Given, insert_rows, numbers, seed_audit

N_JUDGED = 10_000
N_SUBJECTS = 57  # as many as MMLU has
SAID = (
    ("label_correct", None), ("wrong_label", 5), ("multi_object", 7), ("wrong_label", None),
    ("unsure", None),
)  # fmt: skip
SAID_OF_QUESTIONS = (
    ("label_correct", None), ("wrong_ground_truth", 2), ("no_correct", None),
    ("bad_question_clarity", None), ("unsure", None),
)  # fmt: skip


def seed_pictures(n_items: int) -> Any:
    """Return an audit of pictures that lie nowhere; one in a hundred is flagged."""
    from audit.models import Flag, Project

    audit = seed_audit(Project.objects.create(slug="pictures", name="Pictures"), n_items)
    for method in ("calibrated_ensemble", "confident_learning"):
        insert_rows(
            Flag, f"audit_item WHERE dataset_id = {audit.dataset_id} AND position % 100 = 0",
            audit=audit.pk, item=Given("id"), method=method, rank=Given("position / 100 + 1"),
            score=0.5, proposed_label=Given("(given_label + 1) % 1000"), experts_agree=True,
        )  # fmt: skip
    _judge(audit, SAID)
    _write_input(audit.dataset)
    return audit


def give_pictures(audit_id: int) -> None:
    """Lay down a picture of 28 x 28 pixels that is every item's."""
    import io
    from pathlib import Path

    from django.conf import settings
    from PIL import Image

    from audit.models import Audit, Dataset

    dataset = Audit.objects.get(pk=audit_id).dataset
    pixels = np.random.default_rng(0).integers(0, 255, (28, 28), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    folder = Path(settings.LABEL_AUDIT_HOME, "pictures")
    folder.mkdir(exist_ok=True)
    (folder / "one.png").write_bytes(buffer.getvalue())
    Dataset.objects.filter(pk=dataset.pk).update(root=str(folder))
    sha256 = hashlib.sha256(buffer.getvalue()).hexdigest()
    dataset.items.update(image="one.png", content_sha256=sha256)


def _write_input(dataset: Any) -> None:
    """Let the pictures have come in a manifest, with how it spells its labels."""
    from audit.input_files import input_folder
    from audit.models import Dataset

    Dataset.objects.filter(pk=dataset.pk).update(source_format="manifest")
    input_folder(dataset.pk).mkdir(parents=True)
    with (input_folder(dataset.pk) / "labels.csv").open("w", encoding="utf-8") as text:
        text.write("image,label,key\n")
        rows = dataset.items.order_by("position").values_list("image", "given_label", "key")
        text.writelines(f'{image},"{label}",{key}\n' for image, label, key in rows.iterator(5000))


def seed_questions(n_items: int) -> Any:
    """Return an audit of questions of four options, of the length that MMLU's have."""
    from audit.evidence import Evidence, write_evidence
    from audit.models import Audit, Dataset, DatasetClass, Item, Project

    project = Project.objects.create(slug="questions", name="Questions")
    dataset = Dataset.objects.create(
        project=project, slug="questions", kind="multiple_choice", source_format="mmlu",
        n_items=n_items, n_classes=4, sha256="0" * 64,
    )  # fmt: skip
    DatasetClass.objects.bulk_create(
        DatasetClass(dataset=dataset, index=index, name=name) for index, name in enumerate("ABCD")
    )
    text = "Which of the following statements about the numbers of a long table holds, and why? "
    insert_rows(
        Item, numbers(n_items), dataset=dataset.pk, position=Given("i"), given_label=Given("i % 4"),
        key=Given(f"'subject-' || (i % {N_SUBJECTS}) || '/test/' || (i / {N_SUBJECTS})"),
        question=Given(f"'{text * 3}' || i"), subject=Given(f"'subject_' || (i % {N_SUBJECTS})"),
        choices=["None", "NA", "=SUM(A1:A9)", "the fourth, with a comma"],
        content_sha256="0" * 64,
    )  # fmt: skip
    audit = Audit.objects.create(
        dataset=dataset, state="ready", work="done", n_bins=15, n_disputed=0, sha256="0" * 64
    )
    ones = np.ones((0, n_items), dtype=np.float32)
    write_evidence(audit.pk, Evidence(ones.astype(np.int32), ones, ones, ones))
    _judge(audit, SAID_OF_QUESTIONS)
    return audit


def _judge(audit: Any, said: Any) -> None:
    """Give items all over the data set one verdict each, by ten people."""
    from django.contrib.auth.models import User
    from django.utils import timezone

    from reviews.models import Judgment, ReviewSlot, Sample, SampledItem, Stratum

    n_items = audit.dataset.n_items
    every = max(n_items // N_JUDGED, 1)
    n_judged = len(range(0, n_items, every))
    sample = Sample.objects.create(audit=audit, seed=0, n_items=n_judged, n_votes=n_judged)
    stratum = Stratum.objects.create(
        sample=sample, name="flagged", is_flagged=True, n_population=n_items, n_drawn=n_judged
    )
    insert_rows(
        SampledItem,
        f"audit_item WHERE dataset_id = {audit.dataset_id} AND position % {every} = 0",
        sample=sample.pk, stratum=stratum.pk, item=Given("id"), order=Given("position"),
        candidates=[],
    )  # fmt: skip
    insert_rows(
        ReviewSlot, f"reviews_sampleditem WHERE sample_id = {sample.pk}", sample=sample.pk,
        sampled_item=Given("id"), number=1, order=Given('"order"'), state="open",
    )  # fmt: skip
    people = [User.objects.create(username=f"{audit.pk}-{number}") for number in range(10)]
    slots = sample.slots.order_by("order").values_list("pk", flat=True)
    Judgment.objects.bulk_create(
        (
            Judgment(
                slot_id=slot, annotator=people[place % 10], verdict=said[place % len(said)][0],
                corrected_label=said[place % len(said)][1], mode="quick", stage="revealed",
                idempotency_key=uuid.UUID(int=audit.pk << 64 | place), milliseconds=1500,
                body_sha256=hashlib.sha256(b"").hexdigest(), number=place + 1,
                hash=hashlib.sha256(b"%d %d" % (audit.pk, place)).hexdigest(),
                decided_at=timezone.now(),
                source="" if audit.dataset.kind == "image" else "a textbook",
            )
            for place, slot in enumerate(slots)
        ),
        batch_size=500,
    )  # fmt: skip
