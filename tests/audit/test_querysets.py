"""Questions about many rows, each answered for a handful that is written out."""

from __future__ import annotations

import pytest

from audit.models import Audit, Chunk, Flag, Import, Measurement, ScoreSet
from tests.factories import make_dataset, make_project, make_ready_audit

pytestmark = pytest.mark.django_db


def test_the_first_flags_and_the_most_confident_bins():
    make_ready_audit(n_flags=6, n_bins=3)
    flags = Flag.objects.of_method("calibrated_ensemble")
    assert [flag.rank for flag in flags.first_places(2)] == [1, 2]
    assert [flag.rank for flag in flags.within_top(2)] == [1, 2, 3, 4]


def test_chunks_are_served_urgent_first_then_first_come_and_those_tried_before_last():
    dataset = make_dataset()
    old, urgent = (
        ScoreSet.objects.create(dataset=dataset, expert=f"stub:{n}", source="run") for n in (1, 2)
    )
    ScoreSet.objects.filter(pk=urgent.pk).update(is_urgent=True)
    for score_set, epoch, start in ((old, 1, 0), (old, 0, 6), (old, 0, 3), (urgent, 0, 9)):
        Chunk.objects.create(score_set=score_set, epoch=epoch, start=start, stop=start + 3)
    assert [chunk.start for chunk in Chunk.objects.in_order()] == [9, 3, 6, 0]
    ScoreSet.objects.filter(pk=old.pk).update(state="ready")
    assert list(ScoreSet.objects.unfinished()) == [urgent]


def test_measurements_that_wait_run_or_are_done():
    audit = make_ready_audit()
    for number, work in enumerate(("pending", "running", "done"), start=1):
        Measurement.objects.create(audit=audit, kind="cascade", number=number, work=work)
    rows = Measurement.objects.order_by("number")
    assert [row.number for row in rows.pending()] == [1]
    assert [row.number for row in rows.under_way()] == [1, 2]
    assert [row.number for row in rows.ready()] == [3]
    assert list(Audit.objects.under_way()) == []


def test_imports_of_votes_are_told_apart():
    project = make_project()
    for kind in Import.Kind.values:
        Import.objects.create(project=project, kind=kind, name=f"some {kind}", order={})
    assert [row.name for row in Import.objects.of_votes()] == ["some votes"]
