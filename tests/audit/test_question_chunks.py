"""Workers score questions as they score pictures; an expert of the other kind is refused."""

from __future__ import annotations

import numpy as np
import pytest
from django.urls import reverse

from audit import tasks
from audit.models import Chunk, Role, ScoreSet, UnscorableItem
from audit.score_store import open_scores
from audit.services import audits, chunks
from audit.services.scores import ScoresRefusedError, request_scores
from scoring.experts import (
    ExpertCard,
    ExpertRefused,
    InputProblem,
    Question,
    UnscorableInputsError,
    load_expert,
)
from scoring.experts.base import ABSENT
from tests.factories import make_dataset, make_member, make_questions
from tests.language_models import change_json, write_language_model

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


def test_b092_a_question_the_expert_cannot_read_has_a_reason_and_the_rest_is_scored(monkeypatch):
    monkeypatch.setattr(chunks, "loaded_expert", lambda _name: ShortSighted())
    dataset = make_questions(n_items=6)
    dataset.items.filter(position=1).update(quarantine_code="duplicate_option")
    dataset.items.filter(position=3).update(question="the secret one")
    score_set = run_all(request_scores(dataset, "stub:4"))
    finite = np.isfinite(open_scores(score_set.pk)[0:6]).all(axis=1)
    assert finite.tolist() == [True, False, True, False, True, True]
    reasons = UnscorableItem.objects.values_list("item__position", "code", "detail")
    assert list(reasons) == [(3, "too_long", "longer than the context")]


def test_b084_a_choice_that_a_question_does_not_have_lies_far_below_its_least_likely(monkeypatch):
    monkeypatch.setattr(chunks, "loaded_expert", lambda _name: ShortSighted())
    dataset = make_questions(n_items=2)
    dataset.items.filter(position=0).update(choices=["a", "bb"])
    score_set = run_all(request_scores(dataset, "stub:4"))
    short, whole = open_scores(score_set.pk)[0:2]
    np.testing.assert_allclose(short, [1, 2, 1 + ABSENT, 1 + ABSENT], rtol=1e-6)
    assert (whole >= 1).all()


class Refusing(ShortSighted):
    """An expert that finds out while it predicts that it can't be used."""

    def predict(self, inputs):
        if any("What is 6" in each.question for each in inputs):
            raise ExpertRefused("out_of_memory", "one question alone doesn't fit into memory")
        return super().predict(inputs)


def test_an_expert_that_refuses_while_it_predicts_stops_at_once_and_the_page_says_why(
    client, monkeypatch
):
    monkeypatch.setattr(chunks, "loaded_expert", lambda _name: Refusing())
    dataset = make_questions(n_items=20)
    audit = audits.start_audit(dataset, ["stub:4-1", "stub:4-2"])
    score_set = ScoreSet.objects.get(expert="stub:4-1")
    run_all(score_set)
    assert score_set.state == ScoreSet.State.FAILED
    assert (score_set.failures, score_set.chunks.filter(attempts__gt=1).count()) == (0, 0)
    assert not UnscorableItem.objects.exists()
    client.force_login(make_member(dataset.project, Role.MAINTAINER))
    page = client.get(reverse("audit:audit_detail", args=[audit.pk])).content.decode()
    assert "one question alone doesn&#x27;t fit into memory" in page


@pytest.mark.parametrize("shape", [(4, 4), (5, 9), (5,)])
def test_an_expert_that_answers_in_another_shape_is_refused_with_both(monkeypatch, shape):
    expert = ShortSighted()
    monkeypatch.setattr(
        expert, "predict", lambda _inputs: np.zeros(shape, np.float32), raising=True
    )
    monkeypatch.setattr(chunks, "loaded_expert", lambda _name: expert)
    score_set = run_all(request_scores(make_questions(n_items=20), "stub:4-1"))
    assert score_set.state == ScoreSet.State.FAILED
    assert f"answered 5 items with an array of shape {shape}" in score_set.error
    assert not UnscorableItem.objects.exists()


def remove_weights(folder):
    (folder / "model.safetensors").unlink()


def cut_weights(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def add_code(folder):
    (folder / "modeling.py").write_text("raise SystemExit")


def other_size(folder):
    change_json(folder / "config.json", hidden_size=64)


def no_such_heads(folder):
    change_json(folder / "config.json", num_attention_heads=7)


def heads_in_words(folder):
    change_json(folder / "config.json", num_attention_heads="many")


def no_tokenizer(folder):
    (folder / "tokenizer.json").write_text("{}")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (remove_weights, "holds no .safetensors weights"),
        (cut_weights, "the tensors end at byte"),
        (add_code, "modeling.py is code"),
        (other_size, "can't load"),
        (no_such_heads, "not a multiple of the number of attention heads"),
        (heads_in_words, "num_attention_heads"),
        (no_tokenizer, "Model missing"),
    ],
)
def test_a_model_that_is_no_longer_what_it_was_stops_with_the_first_chunk(tmp_path, harm, said):
    folder = write_language_model(tmp_path / "llama")
    score_set = request_scores(
        make_questions(n_items=12), f"transformers:{folder}", from_anywhere=True
    )
    harm(folder)
    tasks.process_chunk(Chunk.objects.pending().earliest("start").pk)
    score_set.refresh_from_db()
    assert score_set.state == ScoreSet.State.FAILED
    assert said in score_set.error
    assert not Chunk.objects.pending().exists()
