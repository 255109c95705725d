"""Experts behind model servers run in chunks like any other, and wait while the server is away."""

from __future__ import annotations

import io

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from scipy.special import softmax

from audit.models import Chunk, ScoreSet
from audit.score_store import open_scores
from audit.services import chunks
from audit.services.scores import ScoresRefusedError, request_scores
from audit.tasks import process_chunk
from scoring.experts import Question
from scoring.experts.endpoints import parse_endpoints
from tests.factories import make_questions
from tests.language_server import MODEL
from tests.scoring.experts.test_endpoint_expert import letters_at_home

pytestmark = pytest.mark.django_db
N_ITEMS = 10


@pytest.fixture
def dataset(settings, language_server):
    settings.CHUNK_ITEMS = 4
    server = f"{language_server.url},{MODEL},patience=0,top=20"
    settings.ENDPOINTS = parse_endpoints(f"tiny={server};chat={server},form=chat")
    chunks.loaded_expert.cache_clear()
    yield make_questions(n_items=N_ITEMS)
    chunks.loaded_expert.cache_clear()


def run(dataset, expert: str) -> ScoreSet:
    out = io.StringIO()
    call_command("run_expert", dataset.slug, expert, "--wait", stdout=out, stderr=out)
    return ScoreSet.objects.get(expert=expert)


def scores_of(score_set: ScoreSet):
    return np.array(open_scores(score_set.pk)[0:N_ITEMS])


def test_a_data_set_is_scored_by_an_endpoint(dataset, tiny_model):
    score_set = run(dataset, "endpoint:tiny")
    asked = [Question(i.question, tuple(i.choices), i.subject) for i in dataset.items.all()]
    expected = letters_at_home(tiny_model, asked)
    np.testing.assert_allclose(softmax(scores_of(score_set), axis=1), expected, atol=1e-4)
    assert score_set.card["transform"]["model"] == MODEL
    assert (score_set.caveat, score_set.unscorable.count()) == ("", 0)


@pytest.mark.usefixtures("dataset")
def test_bounded_items_are_marked_and_said_on_every_page():
    many = make_questions(n_items=40)  # some of them have a letter among the likeliest tokens
    score_set = run(many, "endpoint:chat")
    marked = sorted(place for chunk in score_set.chunks.all() for place in chunk.bounded)
    assert marked
    assert score_set.parameters["bounded"] == len(marked)
    assert f"In {len(marked)} of 40 items" in score_set.caveat
    scored = np.flatnonzero(np.isfinite(open_scores(score_set.pk)[0:40]).all(axis=1))
    assert set(marked) <= set(scored.tolist())


def test_the_key_travels_with_the_request_and_is_stored_nowhere(
    dataset, settings, language_server, caplog
):
    language_server.behaviour.key = "sk-only-in-the-file"
    folder = settings.LABEL_AUDIT_HOME / "endpoint_keys"
    folder.mkdir()
    (folder / "tiny").write_text("sk-only-in-the-file\n")
    (folder / "tiny").chmod(0o600)
    score_set = run(dataset, "endpoint:tiny")
    assert "sk-only" not in f"{score_set.__dict__} {caplog.text}"
    (folder / "tiny").chmod(0o644)
    chunks.loaded_expert.cache_clear()
    with pytest.raises(CommandError, match="chmod 600"):
        run(dataset, "endpoint:tiny,prompt=mmlu-lm-eval")


def test_a_server_that_is_away_costs_no_item_however_long(dataset, language_server):
    score_set = request_scores(dataset, "endpoint:tiny")
    first, second, _ = score_set.chunks.order_by("start")
    process_chunk(first.pk)
    language_server.behaviour.faults = ["hang up"] * 100
    for _ in range(5):
        process_chunk(second.pk)
        Chunk.objects.update(not_before=None)
    second.refresh_from_db()
    assert (second.work, second.attempts) == ("pending", 0)
    assert "gave no answer" in second.error
    language_server.behaviour.faults.clear()
    score_set = run(dataset, "endpoint:tiny")
    assert score_set.is_ready
    assert score_set.chunks.count() == 3  # nothing was cut in halves
    assert np.isfinite(scores_of(score_set)).all()


def test_a_server_that_can_not_serve_stops_the_scores_at_once(dataset, language_server):
    language_server.behaviour.gives_log_probabilities = False
    with pytest.raises(CommandError, match="answers alone"):
        run(dataset, "endpoint:tiny")


@pytest.mark.parametrize("name", ["endpoint:huge", "endpoint:http://127.0.0.1:1/v1"])
def test_only_endpoints_of_the_settings_are_asked(dataset, name):
    with pytest.raises(ScoresRefusedError, match="there are: chat, tiny"):
        request_scores(dataset, name)
