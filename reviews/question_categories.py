"""The MMLU-Redux class of a question: derived from a person's own answers and the published key.

The one place; the desk derives by the same rule. A question or options that can't be understood
come first, whatever was answered: there is no telling which answer holds.
"""

from __future__ import annotations

from collections.abc import Sequence

from reviews.models import KEY_CHANGES, UNCLEAR, QuestionVerdict


def propose_question_verdict(
    given_label: int, labels: Sequence[int] | None, unclear: QuestionVerdict | None = None
) -> QuestionVerdict | None:
    """Return the class that a person's answers make of the published key.

    `labels` are the options that hold, empty when none does, None before anything is answered;
    `unclear` says what can't be understood, if anything.
    """
    if unclear is not None or labels is None:
        return unclear
    if not labels:
        return QuestionVerdict.NO_CORRECT
    if len(labels) > 1:
        return QuestionVerdict.MULTIPLE_CORRECT
    same = labels[0] == given_label
    return QuestionVerdict.LABEL_CORRECT if same else QuestionVerdict.WRONG_GROUND_TRUTH


def allowed_question_verdicts(
    given_label: int, labels: Sequence[int] | None
) -> frozenset[QuestionVerdict]:
    """Return the classes that don't contradict the answers: what a person may override with."""
    proposed = propose_question_verdict(given_label, labels)
    always = UNCLEAR | {QuestionVerdict.UNSURE}
    return always if proposed is None else always | {proposed}


def corrected_key(
    verdict: QuestionVerdict, given_label: int, labels: Sequence[int] | None
) -> int | None:
    """Return the key that the question gets or gains: the first right answer but the given."""
    if verdict not in KEY_CHANGES:
        return None
    return next((label for label in labels or () if label != given_label), None)
