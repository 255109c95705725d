"""A short form of the soak, and that what it checks would be noticed."""

from __future__ import annotations

import pytest

from tests.faults.soak import Size, soak
from tests.faults.soak_checks import check_every_item_once, check_verdicts
from tests.faults.soak_people import Said

ALL = {"pool process", "worker", "web process", "Redis", "PostgreSQL"}


@pytest.mark.service
@pytest.mark.timeout(420)
def test_audits_and_verdicts_survive_the_death_of_everything_once():
    outcome = soak(1, 15, every=(0.8, 2.0), size=Size(scored=60, judged=300))
    assert outcome.kills.keys() == ALL
    assert outcome.stored >= len(outcome.said.acknowledged) > 20
    assert outcome.said.replayed > 0


class Rows:
    """An installation whose database says the same to every question."""

    def __init__(self, *rows):
        self.rows = list(rows)

    def query(self, sql):
        return [] if "unscorable" in sql else self.rows


KEY, OTHER = "0b5b9b3e-0000-4000-8000-000000000001", "0b5b9b3e-0000-4000-8000-000000000002"


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        ([], Said(sent={KEY}, acknowledged=[KEY])),  # acknowledged and lost
        ([(KEY,), (KEY,)], Said(sent={KEY}, acknowledged=[KEY])),  # stored twice
        ([(KEY,), (OTHER,)], Said(sent={KEY}, acknowledged=[KEY])),  # from nowhere
        ([(KEY,)], Said(sent={KEY}, acknowledged=[KEY], errors=["verdict: 500"])),
    ],
)
def test_a_verdict_lost_doubled_or_made_up_is_noticed(stored, said):
    with pytest.raises(AssertionError):
        check_verdicts(Rows(*stored), said)


def test_verdicts_stored_but_never_acknowledged_are_no_loss():
    check_verdicts(Rows((KEY,), (OTHER,)), Said(sent={KEY, OTHER}, acknowledged=[KEY]))


@pytest.mark.parametrize(
    "chunks",
    [
        [(1, 40, 0, 20, "done")],
        [(1, 40, 0, 20, "done"), (1, 40, 10, 40, "done")],
        [(1, 40, 0, 20, "done"), (1, 40, 20, 40, "running")],
    ],
)
def test_items_scored_never_twice_or_not_yet_are_noticed(chunks):
    with pytest.raises(AssertionError):
        check_every_item_once(Rows(*chunks))
