"""Plain functions that put a small, real situation into the database and on disk."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path
from string import ascii_uppercase

import numpy as np
from django.conf import settings
from django.contrib.auth.models import User
from PIL import Image

from audit.evidence import Evidence, write_evidence
from audit.models import (
    Audit,
    AuditExpert,
    Dataset,
    DatasetClass,
    Flag,
    Item,
    Membership,
    Project,
    Role,
    ScoreSet,
)
from reviews.models import ReviewSlot, Sample, SampledItem, Stratum

counter = itertools.count(1)
PASSWORD = "correct horse battery staple"


def make_project(name: str = "Digits") -> Project:
    return Project.objects.create(slug=f"project-{next(counter)}", name=name)


def make_member(project: Project, role: Role = Role.ANNOTATOR, name: str = "") -> User:
    user = User.objects.create_user(name or f"{role.label}-{next(counter)}", password=PASSWORD)
    Membership.objects.create(project=project, user=user, role=role)
    return user


def make_dataset(
    project: Project | None = None, n_items: int = 12, n_classes: int = 3, notice: str = ""
) -> Dataset:
    """A data set of small random pictures, item i with given label i % n_classes."""
    number = next(counter)
    root = Path(settings.LABEL_AUDIT_HOME, f"pictures-{number}")
    root.mkdir(parents=True)
    dataset = Dataset.objects.create(
        project=project or make_project(),
        slug=f"dataset-{number}",
        kind=Dataset.Kind.IMAGE,
        source_format="imagefolder",
        root=str(root),
        n_items=n_items,
        n_classes=n_classes,
        sha256="0" * 64,
        notice=notice,
    )
    DatasetClass.objects.bulk_create(
        DatasetClass(dataset=dataset, index=index, name=f"class {index}", gloss=f"gloss {index}")
        for index in range(n_classes)
    )
    rng = np.random.default_rng(number)
    items = []
    for position in range(n_items):
        path = root / f"{position:05d}.png"
        Image.fromarray(rng.integers(0, 255, (28, 28), dtype=np.uint8)).save(path)
        items.append(
            Item(
                dataset=dataset,
                position=position,
                key=path.name,
                given_label=position % n_classes,
                image=path.name,
                content_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
                width=28,
                height=28,
            )
        )
    Item.objects.bulk_create(items)
    return dataset


ADDEND = 7  # the same questions in every test, whatever ran before: models answer by the text


def make_questions(
    project: Project | None = None, n_items: int = 12, n_choices: int = 4
) -> Dataset:
    """A data set of sums with n_choices answers, item i with given label i % n_choices."""
    number = next(counter)
    dataset = Dataset.objects.create(
        project=project or make_project("Sums"),
        slug=f"questions-{number}",
        kind=Dataset.Kind.MULTIPLE_CHOICE,
        source_format="manifest",
        n_items=n_items,
        n_classes=n_choices,
        sha256="0" * 64,
    )
    DatasetClass.objects.bulk_create(
        DatasetClass(dataset=dataset, index=index, name=ascii_uppercase[index])
        for index in range(n_choices)
    )
    Item.objects.bulk_create(
        Item(
            dataset=dataset,
            position=position,
            key=f"sum-{position}",
            given_label=position % n_choices,
            question=f"What is {position} + {ADDEND}?",
            choices=[str(position + ADDEND + choice) for choice in range(n_choices)],
            subject="sums",
        )
        for position in range(n_items)
    )
    return dataset


def make_ready_audit(dataset: Dataset | None = None, n_flags: int = 6, n_bins: int = 3) -> Audit:
    """A finished audit: the first n_flags items are disputed by both experts, which agree."""
    dataset = dataset or make_dataset()
    audit = Audit.objects.create(
        dataset=dataset,
        state=Audit.State.READY,
        work=Audit.Work.DONE,
        n_bins=n_bins,
        n_disputed=n_flags,
        sha256="0" * 64,
    )
    for order in range(2):
        score_set = ScoreSet.objects.create(
            dataset=dataset,
            expert=f"stub:{dataset.n_classes}-{order}",
            source=ScoreSet.Source.RUN,
            state=ScoreSet.State.READY,
        )
        AuditExpert.objects.create(audit=audit, score_set=score_set, order=order)
    items = list(dataset.items.all())
    top1 = np.array([item.given_label for item in items], dtype=np.int32)
    top1[:n_flags] = (top1[:n_flags] + 1) % dataset.n_classes
    confidence = np.linspace(0.99, 0.6, len(items), dtype=np.float32)
    given = np.where(np.arange(len(items)) < n_flags, 0.01, confidence).astype(np.float32)
    out = np.array([item.is_quarantined for item in items])  # no expert scores them
    top1[out], confidence[out], given[out] = -1, np.nan, np.nan
    write_evidence(
        audit.pk,
        Evidence(
            top1=np.stack([top1, top1]),
            confidence=np.stack([confidence, confidence]),
            raw_confidence=np.stack([confidence, confidence]),
            given_probability=np.stack([given, given]),
        ),
    )
    ranks = np.array_split(np.arange(n_flags), n_bins)
    bin_of = {int(place): number for number, part in enumerate(ranks, start=1) for place in part}
    methods = ["calibrated_ensemble", "ensemble", "confident_learning"]
    Flag.objects.bulk_create(
        Flag(
            audit=audit,
            item=items[place],
            method=method,
            rank=place + 1,
            score=float(confidence[place]),
            bin_rank=bin_of[place] if method == "calibrated_ensemble" else None,
            proposed_label=int(top1[place]),
            experts_agree=True,
        )
        for method in methods
        for place in range(n_flags)
    )
    audit.queue_counts = {
        "calibrated_ensemble": [len(np.concatenate(ranks[:k])) for k in range(1, n_bins + 1)],
        "ensemble": n_flags,
        "confident_learning": n_flags,
    }
    audit.save()
    return audit


def make_sample(audit: Audit, n_items: int, votes_per_item: int = 1) -> Sample:
    """A frozen sample of the audit's first n_items items, in one stratum, served in order."""
    items = list(audit.dataset.items.all()[:n_items])
    sample = Sample.objects.create(
        audit=audit,
        seed=0,
        votes_per_item=votes_per_item,
        n_items=len(items),
        n_votes=len(items) * votes_per_item,
    )
    stratum = Stratum.objects.create(
        sample=sample,
        name="flagged",
        is_flagged=True,
        n_population=audit.dataset.n_items,
        n_drawn=len(items),
        votes_per_item=votes_per_item,
    )
    drawn = SampledItem.objects.bulk_create(
        SampledItem(sample=sample, stratum=stratum, item=item, order=order)
        for order, item in enumerate(items)
    )
    ReviewSlot.objects.bulk_create(
        ReviewSlot(sample=sample, sampled_item=row, number=number, order=row.order)
        for row in drawn
        for number in range(1, votes_per_item + 1)
    )
    return sample
