"""The MMLU-Redux class of a question: from one's own answers and the key, and what it becomes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviews.decisions import Action, StandingVote, decide
from reviews.models import KEY_CHANGES, UNCLEAR, QuestionVerdict
from reviews.policies import BUILT_IN
from reviews.question_categories import (
    allowed_question_verdicts,
    corrected_key,
    propose_question_verdict,
)
from tests.reviews.question_cases import CASES, GIVEN

answers = st.none() | st.lists(st.integers(0, 9), unique=True, max_size=10)


@pytest.mark.parametrize(("labels", "expected"), CASES)
def test_answers_and_key_make_the_class(labels, expected):
    assert propose_question_verdict(GIVEN, labels) == expected


@pytest.mark.parametrize("labels", [labels for labels, _ in CASES])
@pytest.mark.parametrize("unclear", sorted(UNCLEAR))
def test_what_cannot_be_understood_comes_before_every_answer(labels, unclear):
    assert propose_question_verdict(GIVEN, labels, QuestionVerdict(unclear)) == unclear


@given(answers, st.integers(0, 9))
def test_a_key_is_correct_exactly_where_it_is_the_one_answer(labels, key):
    verdict = propose_question_verdict(key, labels)
    assert (verdict == QuestionVerdict.LABEL_CORRECT) == (labels == [key])
    assert (verdict in KEY_CHANGES) == (labels is not None and labels != [key])


@given(answers, st.integers(0, 9))
def test_one_may_override_with_what_does_not_contradict_the_answers(labels, key):
    allowed = allowed_question_verdicts(key, labels)
    assert allowed >= UNCLEAR | {QuestionVerdict.UNSURE}
    derived = propose_question_verdict(key, labels)
    assert allowed - UNCLEAR - {QuestionVerdict.UNSURE} == ({derived} if derived else set())


@given(answers, st.integers(0, 9))
def test_a_corrected_key_is_a_right_answer_other_than_the_key_and_only_a_changed_key_has_one(
    labels, key
):
    for verdict in QuestionVerdict:
        corrected = corrected_key(verdict, key, labels)
        if corrected is not None:
            assert verdict in KEY_CHANGES
            assert corrected in labels
            assert corrected != key


def votes(*said: tuple[str, list[int] | None]) -> list[StandingVote]:
    return [
        StandingVote(
            number, number, verdict, corrected_key(QuestionVerdict(verdict), GIVEN, labels), None,
            tuple(labels or ()),
        )
        for number, (verdict, labels) in enumerate(said)
    ]  # fmt: skip


WRONG, SEVERAL, NONE = "wrong_ground_truth", "multiple_correct", "no_correct"


@pytest.mark.parametrize(
    ("said", "policy", "action", "cleaned", "also"),
    [
        ([(WRONG, [0])], "lenient", Action.RELABELLED, 0, ()),
        ([(WRONG, [0])], "strict", Action.RELABELLED, 0, ()),
        ([(WRONG, None)], "lenient", Action.EXCLUDED, None, ()),  # which is right wasn't said
        ([(WRONG, [0]), (WRONG, [1])], "lenient", Action.EXCLUDED, None, ()),
        ([(WRONG, [0])] * 2 + [(NONE, [])], "lenient", Action.RELABELLED, 0, ()),
        ([(SEVERAL, [0, 2])], "lenient", Action.LABEL_ADDED, 2, (0,)),
        ([(SEVERAL, [0, 2])], "strict", Action.KEPT, 2, ()),
        ([(SEVERAL, [0, 3])], "lenient", Action.RELABELLED, 0, (3,)),
        ([(SEVERAL, [0, 2]), (SEVERAL, [2, 3])], "lenient", Action.KEPT, 2, ()),
        ([(SEVERAL, None)], "lenient", Action.KEPT, 2, ()),
        ([(NONE, [])], "lenient", Action.EXCLUDED, None, ()),
        ([(NONE, [])], "strict", Action.KEPT, 2, ()),
        ([("bad_question_clarity", [0])], "lenient", Action.EXCLUDED, None, ()),
        ([("bad_options_clarity", None)], "lenient", Action.EXCLUDED, None, ()),
        ([("bad_options_clarity", None)], "strict", Action.KEPT, 2, ()),
        ([("label_correct", [2])], "lenient", Action.KEPT, 2, ()),
        ([("unsure", None)], "lenient", Action.UNDECIDED, 2, ()),
        ([(WRONG, [0]), ("label_correct", [2])], "lenient", Action.UNDECIDED, 2, ()),
    ],
)
def test_votes_on_a_question_become_one_decision(said, policy, action, cleaned, also):
    decision = decide(GIVEN, votes(*said), BUILT_IN[policy])
    assert (decision.action, decision.cleaned_label, decision.also_labels) == (
        action,
        cleaned,
        also,
    )
