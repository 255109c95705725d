"""Removing a project: all of it, nothing else, and nobody else waits."""

from __future__ import annotations

import time
import uuid

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from audit import score_store
from audit.evidence import evidence_folder
from audit.models import Audit, Dataset, Flag, Item, Membership, Project, Role, ScoreSet
from audit.score_files import score_files
from reviews.models import ReviewSlot, Sample
from reviews.services.deletion import DeletionRefusedError, delete_project
from reviews.services.judgments import Answer, record_judgment
from reviews.services.leases import claim_slots
from tests.benchmarks.web_seed import seed_audit, seed_sample
from tests.factories import make_dataset, make_member, make_project, make_ready_audit, make_sample
from tests.reviews.test_releases import make_judged_audit
from tests.servers import in_threads

N_ITEMS = 50_000


@pytest.mark.django_db
def test_a_project_goes_with_all_that_is_its_own_and_with_nothing_else(fresh_home, capsys):
    stays, goes = make_judged_audit(), make_ready_audit(make_dataset(project=make_project("Goes")))
    make_sample(goes, 4)
    make_member(goes.dataset.project, Role.ANNOTATOR)
    for score_set in ScoreSet.objects.filter(audits=goes):
        shard = score_store.write_shard(score_set.pk, 0, [np.zeros((2, 3), np.float32)], (2, 3))
        score_store.write_manifest(score_set.pk, [shard], {})
    slug = goes.dataset.project.slug
    before = Item.objects.count(), Flag.objects.count()
    with pytest.raises(CommandError, match="--yes"):
        call_command("delete_project", slug)
    assert (Item.objects.count(), Flag.objects.count()) == before
    score_sets = list(ScoreSet.objects.filter(audits=goes).values_list("pk", flat=True))
    call_command("delete_project", slug, "--yes")
    assert "rows removed" in capsys.readouterr().out
    assert not Project.objects.filter(slug=slug).exists()
    assert not evidence_folder(goes.pk).exists()
    assert evidence_folder(stays.pk).exists()
    assert [score_files().names(score_set) for score_set in score_sets] == [[], []]
    assert set(Item.objects.values_list("dataset", flat=True)) == {stays.dataset_id}
    assert list(Audit.objects.all()) == [stays]
    assert Sample.objects.count() == 1
    assert not Membership.objects.filter(project__slug=slug).exists()


@pytest.mark.django_db
def test_a_project_with_judgments_or_work_under_way_stays():
    audit = make_judged_audit()
    with pytest.raises(DeletionRefusedError, match="judgments, which are never removed"):
        delete_project(audit.dataset.project)
    busy = make_ready_audit(make_dataset(project=make_project("Busy")))
    Audit.objects.filter(pk=busy.pk).update(state=Audit.State.SCORING)
    with pytest.raises(DeletionRefusedError, match="an audit under way"):
        delete_project(busy.dataset.project)
    assert Dataset.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_e18_fifty_thousand_items_are_removed_while_others_judge():
    goes = seed_audit(make_project("Goes"), N_ITEMS)
    seed_sample(goes)
    stays = make_ready_audit(make_dataset(n_items=400))
    sample = make_sample(stays, 400)
    person = make_member(stays.dataset.project, Role.ANNOTATOR)
    is_done, waits = [], []

    def work(who):
        if who == "deletes":
            started = time.monotonic()
            delete_project(goes.dataset.project)
            is_done.append(time.monotonic() - started)
            return
        while not is_done:
            started = time.monotonic()
            (slot,) = claim_slots(sample, person, 1)
            record_judgment(person, slot.pk, slot.epoch, uuid.uuid4(), Answer("label_correct"))
            waits.append(time.monotonic() - started)
            time.sleep(0.1)

    in_threads(work, ["deletes", "judges"])
    assert Item.objects.count() == 400
    assert ReviewSlot.objects.count() == 400
    assert is_done[0] < 60
    assert len(waits) >= 5
    assert np.percentile(waits, 95) < 0.5
    connection.close()
