"""What the review desk shows of a multiple-choice question: text and options as the file has them.

The published key goes along: the page shows it once the annotator has answered, also without a
network. What experts say leaves the server for the quick desk and the revealed arm only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from django.contrib.auth.models import User

from audit.evidence import load_evidence
from reviews.models import Mode, ReviewSlot, Sample
from reviews.randomisation import sees_label_first
from reviews.services.referrals import find_referred
from reviews.services.reveals import Told, describe_told


@dataclass(frozen=True, slots=True)
class MultipleChoice:
    """One question to judge; its options stay in the file's order, they refer to each other.

    ``experts`` says, at the quick desk, how many experts answer with each option; ``chosen`` is
    the option that they agree on against the key.
    """

    slot: int
    item: int
    is_referred: bool
    mode: Mode
    subject: str
    question: str
    choices: tuple[str, ...]
    key_label: int
    told: Told | None = None
    n_experts: int = 0
    experts: tuple[int, ...] = ()
    chosen: int | None = None


def describe_questions(
    sample: Sample, annotator: User, slots: Sequence[ReviewSlot], mode: Mode
) -> list[MultipleChoice]:
    """Return what the desk shows for each slot of a sample of questions."""
    referred = find_referred(annotator, slots)
    positions = [slot.sampled_item.item.position for slot in slots]
    top1s = np.asarray(load_evidence(sample.audit_id).top1[:, positions]).T.tolist()
    questions = []
    for slot, top1 in zip(slots, top1s, strict=True):
        item = slot.sampled_item.item
        plain = MultipleChoice(
            slot=slot.pk,
            item=item.pk,
            is_referred=slot.sampled_item_id in referred,
            mode=mode,
            subject=item.subject,
            question=item.question,
            choices=tuple(item.choices),
            key_label=item.given_label,
        )
        if mode == Mode.QUICK:
            questions.append(_add_experts(plain, top1))
        elif sees_label_first(sample.seed, sample.revealed_share, item.pk, annotator.pk):
            questions.append(replace(plain, told=describe_told(sample.audit, item)))
        else:
            questions.append(plain)
    return questions


def _add_experts(question: MultipleChoice, top1: Sequence[int]) -> MultipleChoice:
    """Return the question as the quick desk shows it: with what the experts answer."""
    said = Counter(top1)
    others = [label for label in said if label >= 0 and label != question.key_label]
    agree = len(others) == 1 and said[others[0]] == len(top1)
    return replace(
        question,
        n_experts=len(top1),
        experts=tuple(said[label] for label in range(len(question.choices))),
        chosen=others[0] if agree else None,
    )
