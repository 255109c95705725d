"""Workers score questions as they score pictures; an expert of the other kind is refused."""

from __future__ import annotations

import numpy as np
import pytest

from audit import tasks
from audit.models import Chunk, ScoreSet, UnscorableItem
from audit.score_store import open_scores
from audit.services import chunks
from audit.services.scores import ScoresRefusedError, request_scores
from scoring.experts import (
    ExpertCard,
    InputProblem,
    Question,
    UnscorableInputsError,
    load_expert,
)
from scoring.experts.base import ABSENT
from tests.factories import make_dataset, make_questions

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def small_chunks(settings):
    settings.CHUNK_ITEMS = 5
    chunks.loaded_expert.cache_clear()


def run_all(score_set: ScoreSet) -> ScoreSet:
    for chunk in Chunk.objects.pending().filter(score_set=score_set):
        tasks.process_chunk(chunk.pk)
    score_set.refresh_from_db()
    return score_set


class ShortSighted:
    """A questions expert that prefers long choices and can't read the word "secret"."""

    takes = frozenset({"multiple_choice"})
    card = ExpertCard("short-sighted", None, "0" * 64, {}, "cpu")

    def predict(self, inputs):
        width = max(len(each.choices) for each in inputs)
        logits = np.full((len(inputs), width), np.nan, dtype=np.float32)
        for row, each in zip(logits, inputs, strict=True):
            row[: len(each.choices)] = [len(choice) for choice in each.choices]
        hidden = [place for place, each in enumerate(inputs) if "secret" in each.question]
        if hidden:
            logits[hidden] = np.nan
            problem = InputProblem("too_long", "longer than the context")
            raise UnscorableInputsError(dict.fromkeys(hidden, problem), logits)
        return logits


def test_a_worker_hands_the_text_of_every_question_to_the_expert_in_order():
    dataset = make_questions(n_items=12)
    score_set = run_all(request_scores(dataset, "stub:4-7"))
    assert score_set.state == ScoreSet.State.READY
    questions = [
        Question(item.question, tuple(item.choices), item.subject, item.key)
        for item in dataset.items.all()
    ]
    expected = load_expert("stub:4-7").predict(questions)
    np.testing.assert_array_equal(open_scores(score_set.pk)[0:12], expected)


def test_an_image_expert_is_refused_for_questions_before_anything_is_written():
    with pytest.raises(ScoresRefusedError, match=r"takes images; .* holds multiple-choice"):
        request_scores(make_questions(), "timm:resnet18")
    assert not ScoreSet.objects.exists()


def test_a_worker_refuses_an_expert_of_the_other_kind(monkeypatch):
    monkeypatch.setattr(chunks, "loaded_expert", lambda _name: ShortSighted())
    score_set = run_all(request_scores(make_dataset(n_items=3), "stub:3"))
    assert score_set.state == ScoreSet.State.FAILED
    assert "takes multiple-choice questions" in score_set.error


def test_B092_a_question_the_expert_cannot_read_has_a_reason_and_the_rest_is_scored(monkeypatch):
    monkeypatch.setattr(chunks, "loaded_expert", lambda _name: ShortSighted())
    dataset = make_questions(n_items=6)
    dataset.items.filter(position=1).update(quarantine_code="duplicate_option")
    dataset.items.filter(position=3).update(question="the secret one")
    score_set = run_all(request_scores(dataset, "stub:4"))
    finite = np.isfinite(open_scores(score_set.pk)[0:6]).all(axis=1)
    assert finite.tolist() == [True, False, True, False, True, True]
    reasons = UnscorableItem.objects.values_list("item__position", "code", "detail")
    assert list(reasons) == [(3, "too_long", "longer than the context")]


def test_B084_a_choice_that_a_question_does_not_have_lies_far_below_its_least_likely(monkeypatch):
    monkeypatch.setattr(chunks, "loaded_expert", lambda _name: ShortSighted())
    dataset = make_questions(n_items=2)
    dataset.items.filter(position=0).update(choices=["a", "bb"])
    score_set = run_all(request_scores(dataset, "stub:4"))
    short, whole = open_scores(score_set.pk)[0:2]
    np.testing.assert_allclose(short, [1, 2, 1 + ABSENT, 1 + ABSENT], rtol=1e-6)
    assert (whole >= 1).all()
