"""Judgments: every verdict, revision and undo is one more row, guarded by the slot's epoch.

Each change is one transaction: replay check by idempotency key, conditional update of the slot
(which locks it, so that the second of two writers waits and then finds nothing to update),
insert at the end of the audit's hash chain, projection. A writer who loses the race writes nothing.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from uuid import UUID

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Exists, F, OuterRef, Q

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

    def insert(self, head: Sample, slot_id: int, supersedes: Judgment | None) -> Judgment:
        """Append the row to the chain whose head is locked."""
        judgment = Judgment(
            slot_id=slot_id,
            annotator=self.annotator,
            supersedes=supersedes,
            stage=find_stage(slot_id, self.annotator, self.answer.mode),
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
    epoch is then unchanged. The caller vouches that the annotator was given this epoch.
    """
    submission = _Submission(annotator, key, f"slot {slot_id}", answer)
    try:
        with transaction.atomic():
            earlier = submission.find_earlier()
            return earlier or _record(submission, slot_id, epoch)
    except IntegrityError as error:
        twin = submission.find_earlier()  # the key went to another slot at the same moment
        if twin:
            return twin
        # The slot was open again and the annotator meanwhile took another slot of its item.
        raise RefusedError("you hold another slot of this item") from error


def _record(submission: _Submission, slot_id: int, epoch: int) -> Recorded:
    annotator = submission.annotator
    mine = Q(state=STATE.LEASED, annotator=annotator) | Q(state=STATE.OPEN, epoch__gt=0)
    locked = ReviewSlot.objects.filter(mine, pk=slot_id, epoch=epoch).update(
        state=STATE.LEASED, annotator=annotator, leased_until=lease_end()
    )
    if locked != 1:
        return _explain_refusal(submission, slot_id)
    # Whoever withdraws a verdict raises the epoch: the first one holds none.
    own = Judgment.objects.filter(slot=slot_id, annotator=annotator)
    withdrawn = own.filter(superseded_by=None).last() if epoch > 1 else None
    head = lock_chain(Sample.objects.filter(slots=slot_id))
    judgment = submission.insert(head, slot_id, supersedes=withdrawn)
    ReviewSlot.objects.filter(pk=slot_id).update(
        state=STATE.JUDGED, judgment=judgment, leased_until=None
    )
    ask_third_vote(head, slot_id)
    return Recorded(judgment)


def revise(annotator: User, judgment: Judgment, key: UUID, answer: Answer) -> Recorded:
    """Replace the annotator's standing verdict by another one."""
    submission = _Submission(annotator, key, f"instead of {judgment.pk}", answer)
    with transaction.atomic():
        earlier = submission.find_earlier()
        if earlier:
            return earlier
        slot = ReviewSlot.objects.filter(judgment=judgment, annotator=annotator, state=STATE.JUDGED)
        if slot.update(epoch=F("epoch") + 1) != 1:
            return _explain_refusal(submission, judgment.slot_id)
        head = lock_chain(Sample.objects.filter(slots=judgment.slot_id))
        newer = submission.insert(head, judgment.slot_id, supersedes=judgment)
        slot.update(judgment=newer)
        ask_third_vote(head, judgment.slot_id)
        return Recorded(newer)


def withdraw(annotator: User, judgment: Judgment, key: UUID, ui_version: str = "") -> Recorded:
    """Undo the annotator's standing verdict; the slot is theirs again, to judge anew."""
    answer = Answer(Verdict.WITHDRAWN, mode=Mode(judgment.mode), ui_version=ui_version)
    submission = _Submission(annotator, key, f"instead of {judgment.pk}", answer)
    with transaction.atomic():
        earlier = submission.find_earlier()
        if earlier:
            return earlier
        slot = ReviewSlot.objects.filter(judgment=judgment, annotator=annotator, state=STATE.JUDGED)
        freed = slot.update(
            state=STATE.LEASED, judgment=None, leased_until=lease_end(), epoch=F("epoch") + 1
        )
        if freed != 1:
            return _explain_refusal(submission, judgment.slot_id)
        head = lock_chain(Sample.objects.filter(slots=judgment.slot_id))
        return Recorded(submission.insert(head, judgment.slot_id, supersedes=judgment))


def find_stage(slot_id: int, annotator: User, mode: Mode) -> Stage:
    """Return what the annotator knows of the slot's label and experts at this moment."""
    told = Reveal.objects.filter(sampled_item=OuterRef("sampled_item"), annotator=annotator)
    knows, item, seed, share = (
        ReviewSlot.objects.filter(pk=slot_id)
        .order_by()
        .values_list(Exists(told), "sampled_item__item", "sample__seed", "sample__revealed_share")
        .get()
    )
    if knows:
        return Stage.AFTER
    if mode == Mode.QUICK or sees_label_first(seed, share, item, annotator.pk):
        return Stage.REVEALED
    return Stage.BLIND


def _explain_refusal(submission: _Submission, slot_id: int) -> Recorded:
    """Return the twin that won the race, or raise with the annotator's own standing verdict."""
    twin = submission.find_earlier()  # committed while this request waited for the row
    if twin:
        return twin
    slot = ReviewSlot.objects.select_related("judgment").filter(pk=slot_id).first()
    if slot is None:
        raise RefusedError("this item is no longer in the sample: it was drawn anew")
    if slot.state == STATE.JUDGED and slot.annotator_id == submission.annotator.pk:
        raise RefusedError("you have judged this item already", standing=slot.judgment)
    raise RefusedError("this item is no longer yours")
