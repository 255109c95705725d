"""Scores in an object store: whole or absent, fetched once, checked; the server is a real one."""

from __future__ import annotations

import numpy as np
import obstore
import pytest
from obstore.store import S3Store

from audit import score_store
from audit.score_files import score_files
from audit.score_store import ScoreStoreError, ShardedLogits
from tests.servers import object_store_server

pytestmark = [pytest.mark.service, pytest.mark.timeout(120)]
BUCKET = "scores"
ROWS = np.arange(40, dtype=np.float32).reshape(10, 4)


@pytest.fixture(scope="module")
def server():
    with object_store_server(BUCKET) as environment:
        yield environment


@pytest.fixture(autouse=True)
def shared_store(server, settings, monkeypatch, request):
    """Each test has a prefix of its own in one bucket."""
    for name, value in server.items():
        monkeypatch.setenv(name, value)
    settings.SCORE_STORE = f"s3://{BUCKET}/{request.node.name.partition('[')[0]}"


def remote() -> S3Store:
    """Look at the bucket directly, past the code under test."""
    return S3Store(BUCKET, client_options={"allow_http": True})


def remote_names() -> list[str]:
    prefix = score_files().address.rpartition("/")[2]
    return sorted(found["path"] for page in obstore.list(remote(), f"{prefix}/") for found in page)


def write(start: int = 0, epoch: int = 0) -> score_store.Shard:
    return score_store.write_shard(7, start, [ROWS], ROWS.shape, epoch=epoch)


def on_another_machine(settings, tmp_path) -> None:
    settings.LABEL_AUDIT_HOME = tmp_path / "another-home"
    settings.LABEL_AUDIT_HOME.mkdir()


def test_what_one_machine_writes_another_reads(settings, tmp_path):
    shards = [write(), write(10)]
    score_store.write_manifest(7, shards, {"n_items": 20})
    on_another_machine(settings, tmp_path)
    np.testing.assert_array_equal(score_store.open_scores(7)[5:15], np.vstack([ROWS[5:], ROWS[:5]]))
    assert score_store.check_shards(7, shards)[0] == []


def test_the_hash_is_the_one_of_a_local_folder(settings):
    _, shared = score_store.check_shards(7, [write()])
    settings.SCORE_STORE = ""
    _, local = score_store.check_shards(7, [write()])
    assert shared == local


def test_reading_twice_fetches_once(settings, tmp_path):
    shard = write()
    on_another_machine(settings, tmp_path)
    first = score_files().locate(f"7/{shard.name}", shard.sha256)
    score_files().remove(f"7/{shard.name}")
    assert score_files().locate(f"7/{shard.name}", shard.sha256) == first


def test_f32_an_object_that_changed_is_noticed_and_one_damaged_in_the_cache_fetched_again(
    settings, tmp_path
):
    shard = write()
    on_another_machine(settings, tmp_path)
    cached = score_files().locate(f"7/{shard.name}", shard.sha256)
    cached.write_bytes(b"\x93NUMPY rubbish")
    assert score_store.check_shards(7, [shard]) == ([shard], "")
    assert score_store.check_shards(7, [shard])[0] == []
    score_files().forget(shard.sha256)
    (name,) = remote_names()
    whole = bytearray(obstore.get(remote(), name).bytes())
    whole[-1] ^= 1
    obstore.put(remote(), name, bytes(whole))
    assert score_store.check_shards(7, [shard]) == ([shard], "")
    with pytest.raises(ScoreStoreError, match="isn't what was written"):
        ShardedLogits(7, [shard])


def test_a_writer_that_fails_leaves_nothing_anywhere():
    def rows():
        yield ROWS
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        score_store.write_shard(7, 0, rows(), (20, 4))
    assert remote_names() == []
    assert not [path for path in score_files().cache.rglob("*") if path.is_file()]


def test_what_lost_its_claim_is_removed_from_the_store():
    kept = write(epoch=2)
    write(epoch=1)
    assert score_store.remove_orphans(7, {kept.name}) == 1
    assert score_files().names(7) == [kept.name]


def test_the_cache_keeps_to_its_size(settings, tmp_path):
    settings.SCORE_CACHE_BYTES = 2 * 300
    shards = [
        score_store.write_shard(7, 10 * place, [ROWS + place], ROWS.shape) for place in range(4)
    ]
    cached = [path for path in score_files().cache.rglob("*") if path.is_file()]
    assert sorted(path.name for path in cached) == sorted(shard.sha256 for shard in shards[2:])
    assert score_store.check_shards(7, shards)[0] == []


@pytest.mark.parametrize("what", ["bucket", "server"])
def test_a_store_that_is_not_there_is_said_to_be_so(settings, monkeypatch, what):
    if what == "bucket":
        settings.SCORE_STORE = "s3://no-such-bucket/x"
    else:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        settings.SCORE_STORE = f"s3://{BUCKET}/away"
    with pytest.raises(OSError, match="score store"):
        write()
