"""Judgments: every verdict, revision and undo is one more row, guarded by the slot's epoch.

Each change is one transaction: lock the head of the audit's hash chain, insert the row behind it,
and give the slot its new judgment if it still is as the writer saw it. A writer who lost the race,
or whose key came before, breaks off and leaves nothing; only then is it asked which of the two it
was. So a verdict that nothing stands in the way of, as nearly all are, costs no question more.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypedDict, cast
from uuid import UUID

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from reviews.models import (
    Judgment,
    Mode,
    QuestionVerdict,
    Reveal,
    ReviewSlot,
    Sample,
    Stage,
    Verdict,
)
from reviews.randomisation import sees_label_first
from reviews.services.chains import append_link, lock_chain
from reviews.services.leases import lease_end
from reviews.services.third_votes import ask_third_vote

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

    class Knowledge(TypedDict):
        """What a chain's head is read with: a slot's item, and whether it was revealed."""

        is_told: bool
        shown_item: int

    Head = WithAnnotations[Sample, Knowledge]

STATE = ReviewSlot.State


class RefusedError(Exception):
    """The verdict was not recorded; `standing` is the annotator's own verdict that stands."""

    def __init__(self, message: str, standing: Judgment | None = None) -> None:
        super().__init__(message)
        self.standing = standing


class KeyReusedError(ValueError):
    """The idempotency key came before, with another content."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an annotator says about one item, and at which desk."""

    verdict: Verdict | QuestionVerdict
    corrected_label: int | None = None
    note: str = ""
    milliseconds: int = 0
    labels: tuple[int, ...] | None = None
    severity: int | None = None
    mode: Mode = Mode.QUICK
    ui_version: str = ""
    blind_labels: tuple[int, ...] | None = None
    source: str = ""
    has_derivation: bool = False


@dataclass(frozen=True, slots=True)
class Recorded:
    """A judgment that is in the database; `replayed` when an earlier request put it there."""

    judgment: Judgment
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class _Submission:
    """One request to add a row: who, under which key, what."""

    annotator: User
    key: UUID
    subject: str  # what the row is about: a slot, or the judgment it replaces
    answer: Answer

    @property
    def sha256(self) -> str:
        content = {"subject": self.subject, "annotator": self.annotator.pk, **asdict(self.answer)}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def find_earlier(self) -> Recorded | None:
        """Return what an earlier request with this key recorded."""
        earlier = Judgment.objects.filter(idempotency_key=self.key).select_related("slot").first()
        if earlier is None:
            return None
        if earlier.body_sha256 != self.sha256:
            raise KeyReusedError(f"the key {self.key} was used for something else")
        return Recorded(earlier, replayed=True)

    def insert(self, head: Head, slot_id: int, supersedes: int | None) -> Judgment:
        """Append the row to the chain whose head is locked."""
        judgment = Judgment(
            slot_id=slot_id,
            annotator=self.annotator,
            supersedes_id=supersedes,
            stage=find_stage(head, self.annotator, self.answer.mode),
            idempotency_key=self.key,
            body_sha256=self.sha256,
            **asdict(self.answer),
        )
        append_link(head, judgment)
        return judgment


def record_judgment(
    annotator: User, slot_id: int, epoch: int, key: UUID, answer: Answer
) -> Recorded:
    """Record the annotator's verdict on a slot they were given with this epoch.

    A lease that ran out or was handed back is no obstacle while nobody else took the slot: its
    epoch is then unchanged, or the slot is the annotator's own again. The caller vouches that the
    annotator was given this epoch.
    """
    submission = _Submission(annotator, key, f"slot {slot_id}", answer)
    mine = Q(state=STATE.LEASED, annotator=annotator) | Q(state=STATE.OPEN, epoch__gt=0)
    as_given = ReviewSlot.objects.filter(mine, pk=slot_id, epoch=epoch)
    # Whoever withdraws a verdict raises the epoch: the first one holds none.
    withdrawn = find_withdrawn(slot_id, annotator) if epoch > 1 else None
    changes = {"state": STATE.JUDGED, "annotator": annotator, "leased_until": None}
    try:
        return _append(submission, slot_id, withdrawn, as_given, changes)
    except RefusedError:
        # A page that is left may hand items back after the next one was given them: they are
        # leased anew then, and what is said in between comes with the lease before.
        again = ReviewSlot.objects.filter(
            pk=slot_id, state=STATE.LEASED, annotator=annotator, epoch__gt=epoch
        )
        if not again.exists():
            raise
        return _append(submission, slot_id, find_withdrawn(slot_id, annotator), again, changes)


def find_withdrawn(slot_id: int, annotator: User) -> int | None:
    """Return the withdrawal that the annotator's next verdict on the slot comes after."""
    own = Judgment.objects.filter(slot=slot_id, annotator=annotator, superseded_by=None)
    return own.values_list("pk", flat=True).last()


def revise(annotator: User, judgment: Judgment, key: UUID, answer: Answer) -> Recorded:
    """Replace the annotator's standing verdict by another one."""
    submission = _Submission(annotator, key, f"instead of {judgment.pk}", answer)
    changes = {"epoch": F("epoch") + 1}
    standing = _standing(annotator, judgment)
    return _append(submission, judgment.slot_id, judgment.pk, standing, changes)


def withdraw(annotator: User, judgment: Judgment, key: UUID, ui_version: str = "") -> Recorded:
    """Undo the annotator's standing verdict; the slot is theirs again, to judge anew."""
    answer = Answer(Verdict.WITHDRAWN, mode=Mode(judgment.mode), ui_version=ui_version)
    submission = _Submission(annotator, key, f"instead of {judgment.pk}", answer)
    changes = {"state": STATE.LEASED, "leased_until": lease_end(), "epoch": F("epoch") + 1}
    standing = _standing(annotator, judgment)
    return _append(submission, judgment.slot_id, judgment.pk, standing, changes)


def _standing(annotator: User, judgment: Judgment) -> QuerySet[ReviewSlot]:
    return ReviewSlot.objects.filter(
        pk=judgment.slot_id, judgment=judgment, annotator=annotator, state=STATE.JUDGED
    )


def _append(
    submission: _Submission,
    slot_id: int,
    supersedes: int | None,
    slot: QuerySet[ReviewSlot],
    changes: dict[str, Any],
) -> Recorded:
    """Add the row, and change the `slot` where it is still found as the writer saw it."""
    stands = submission.answer.verdict != Verdict.WITHDRAWN
    try:
        with transaction.atomic():
            head = _lock_head(slot_id, submission.annotator)
            judgment = submission.insert(head, slot_id, supersedes)
            if slot.update(judgment=judgment if stands else None, **changes) == 1:
                if stands:
                    ask_third_vote(head, slot_id)
                return Recorded(judgment)
            transaction.set_rollback(True)  # the slot is no longer as the writer saw it
    except Sample.DoesNotExist:
        pass
    except IntegrityError as error:
        twin = submission.find_earlier()
        if twin:
            return twin
        if supersedes is None:  # the slot was open again, and they took another one meanwhile
            raise RefusedError("you hold another slot of this item") from error
        # Otherwise another version came first.
    return _explain_refusal(submission, slot_id)


def _lock_head(slot_id: int, annotator: User) -> Head:
    """Lock the chain, and read with it what the annotator knows of the slot's item."""
    item = "slots__sampled_item"
    told = Reveal.objects.filter(sampled_item=OuterRef(item), annotator=annotator)
    samples = Sample.objects.filter(slots=slot_id)
    read = samples.annotate(is_told=Exists(told), shown_item=F(f"{item}__item"))
    return lock_chain(cast("QuerySet[Head]", read))


def find_stage(head: Head, annotator: User, mode: Mode) -> Stage:
    """Return what the annotator knows of the label and the experts at this moment."""
    if head.is_told:
        return Stage.AFTER
    seed, share = head.seed, head.revealed_share
    if mode == Mode.QUICK or sees_label_first(seed, share, head.shown_item, annotator.pk):
        return Stage.REVEALED
    return Stage.BLIND


def _explain_refusal(submission: _Submission, slot_id: int) -> Recorded:
    """Return what the same request recorded before, or raise with the verdict that stands."""
    twin = submission.find_earlier()
    if twin:
        return twin
    slot = ReviewSlot.objects.select_related("judgment").filter(pk=slot_id).first()
    if slot is None:
        raise RefusedError("this item is no longer in the sample: it was drawn anew")
    if slot.state == STATE.JUDGED and slot.annotator_id == submission.annotator.pk:
        raise RefusedError("you have judged this item already", standing=slot.judgment)
    raise RefusedError("this item is no longer yours")
