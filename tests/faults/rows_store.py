"""Scores shared by machines through an object store, and faults of the store."""

from __future__ import annotations

import json
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import obstore
from obstore.store import S3Store

from tests.faults.campaign import fault
from tests.faults.scene import VERY_SLOW, Scene, production, undisturbed
from tests.servers import object_store_server

BUCKET = "scores"


def shared(server: dict[str, str]) -> dict[str, str]:
    return {**server, "LABEL_AUDIT_SCORE_STORE": f"s3://{BUCKET}/audit"}


def check_result(scene: Scene) -> None:
    """Assert the undisturbed hash; the scores aren't in the folder where they usually are."""
    scene.await_end()
    assert scene.installation.audit_state() == ("ready", undisturbed(scene.experts)[0])
    assert scene.installation.query("SELECT COUNT(*) FROM audit_unscorableitem") == [(0,)]
    scene.result = "same hash"


@fault("S3", "two workers, two home folders, one object store", production(VERY_SLOW))
def two_machines(scene: Scene) -> None:
    """Both score; the store holds what the manifests list and nothing else."""
    with (
        object_store_server(BUCKET) as server,
        tempfile.TemporaryDirectory(prefix="label-audit-other-") as other,
    ):
        scene.installation.environment |= shared(server)
        scene.start_audit()
        scene.clear()
        with scene.worker(), scene.worker("--queues", "experts", LABEL_AUDIT_HOME=other):
            check_result(scene)
        check_store(scene, server)
        assert not (Path(other) / "scores").exists()
    owners = scene.installation.query("SELECT owner, COUNT(*) FROM audit_chunk GROUP BY owner")
    scene.notes.append("chunks by worker: " + ", ".join(str(n) for _, n in owners))
    assert len(owners) == 2, owners


def check_store(scene: Scene, server: dict[str, str]) -> None:
    """Assert that the store holds what the manifests list, and nothing else."""
    bucket = S3Store(
        BUCKET,
        endpoint=server["AWS_ENDPOINT_URL"],
        region=server["AWS_REGION"],
        access_key_id=server["AWS_ACCESS_KEY_ID"],
        secret_access_key=server["AWS_SECRET_ACCESS_KEY"],
        client_options={"allow_http": True},
    )
    names = {found["path"] for page in obstore.list(bucket) for found in page}
    manifests = {name for name in names if name.endswith("manifest.json")}
    listed = {
        f"{name.rpartition('/')[0]}/{shard['name']}"
        for name in manifests
        for shard in json.loads(bytes(obstore.get(bucket, name).bytes()))["shards"]
    }
    assert names == manifests | listed
    assert len(manifests) == 2


@fault("S3away", "the object store away for twelve seconds", production())
def store_away(scene: Scene) -> None:
    """The chunks rest; no item pays for it."""
    with ExitStack() as stack:
        server = stack.enter_context(object_store_server(BUCKET))
        scene.installation.environment |= shared(server)
        with scene.worker():
            scene.start_audit(chunks=3)
            stack.close()
            time.sleep(12)
            # This server keeps its objects in memory: what was in the bucket is gone as well.
            port = int(server["AWS_ENDPOINT_URL"].rpartition(":")[2])
            with object_store_server(BUCKET, port):
                scene.clear()
                check_result(scene)
