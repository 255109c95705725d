"""One batch size for all chunks of a score set, whoever computes them."""

from __future__ import annotations

import numpy as np
import pytest

from audit import tasks
from audit.models import Chunk, ScoreSet
from audit.services import batch_sizes, chunks
from audit.services.scores import forget_scores, request_scores
from scoring.experts.weights_file import write_weights
from tests.factories import make_dataset

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
pytestmark = pytest.mark.django_db


@pytest.fixture
def expert(tmp_path) -> str:
    """A small network with random weights, standing for somebody's trained one."""
    torch.manual_seed(0)
    state = timm.create_model("test_resnet", num_classes=3).state_dict()
    path = tmp_path / "small.safetensors"
    write_weights(path, {name: value.numpy() for name, value in state.items()}, {"format": "pt"})
    chunks.loaded_expert.cache_clear()
    return f"timm:test_resnet@{path}"


def score(score_set: ScoreSet, n_chunks: int) -> int:
    """Score chunks as a worker does; return the batch size it used."""
    for chunk in Chunk.objects.pending().filter(score_set=score_set).in_order()[:n_chunks]:
        tasks.process_chunk(chunk.pk)
    score_set.refresh_from_db()
    return chunks.loaded_expert(score_set.expert).batches.batch_size


def test_the_size_is_written_down_and_used_by_whoever_goes_on(settings, expert):
    settings.CHUNK_ITEMS = 4
    score_set = request_scores(make_dataset(n_items=12), expert, from_anywhere=True)
    assert score(score_set, 1) == 8
    assert score_set.parameters == {"batch_sizes": {"cpu": 8}}
    # As if a worker of another kind of CPU had come first.
    ScoreSet.objects.update(parameters={"batch_sizes": {"cpu": 3, "some GPU": 64}})
    chunks.loaded_expert.cache_clear()
    assert score(score_set, 1) == 3
    assert score(score_set, 1) == 3
    assert score_set.is_ready
    assert score_set.parameters["batch_sizes"] == {"cpu": 3, "some GPU": 64}


def test_a_size_in_the_name_is_that_of_the_scores(expert):
    score_set = request_scores(make_dataset(n_items=12), f"{expert},batch=5", from_anywhere=True)
    assert score(score_set, 1) == 5
    assert score_set.parameters == {"batch_sizes": {"cpu": 5}}


def test_of_two_workers_that_search_at_the_same_time_the_first_decides(expert):
    score_set = request_scores(make_dataset(n_items=12), expert, from_anywhere=True)
    late = ScoreSet.objects.get()
    loaded = chunks.loaded_expert(expert)
    batch_sizes.settle_batch_size(score_set, loaded)
    loaded.batches.use_size(2)  # what the second one found
    batch_sizes.settle_batch_size(late, loaded)
    assert loaded.batches.batch_size == 8
    assert ScoreSet.objects.get().parameters == {"batch_sizes": {"cpu": 8}}


def test_scoring_anew_searches_anew(expert):
    score_set = request_scores(make_dataset(n_items=12), expert, from_anywhere=True)
    score(score_set, 1)
    forget_scores(score_set)
    assert ScoreSet.objects.get().parameters == {}


def test_experts_without_batches_have_none_written_down():
    score_set = request_scores(make_dataset(n_items=3), "stub:3")
    Chunk.objects.get()
    tasks.process_chunk(Chunk.objects.get().pk)
    score_set.refresh_from_db()
    assert score_set.is_ready
    assert score_set.parameters == {}


def test_batches_move_the_last_bits_only(settings, expert):
    dataset = make_dataset(n_items=12)
    sets = [
        request_scores(dataset, f"{expert},batch={size}", from_anywhere=True) for size in (1, 12)
    ]
    for score_set in sets:
        score(score_set, 1)
    from audit.score_store import open_scores

    one, twelve = (open_scores(each.pk)[:12] for each in sets)
    np.testing.assert_allclose(one, twelve, atol=1e-5)
