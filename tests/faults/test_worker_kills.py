"""Workers killed in the middle of an audit cost time and nothing else."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest

from tests.faults.installation import Installation, family, kill_tree, wait_until

pytestmark = [pytest.mark.service, pytest.mark.timeout(300)]

# 200 pictures, 5 ms each, chunks of 20: ten chunks of 0.1 s per expert.
EXPERTS = ["stub:4-1-5", "stub:4-2-5"]


@pytest.fixture(scope="module")
def undisturbed_hash(tmp_path_factory: pytest.TempPathFactory) -> str:
    installation = Installation(tmp_path_factory.mktemp("golden"))
    installation.import_pictures()
    document = installation.json("audit", "pictures", "--experts", *EXPERTS, "--wait")
    assert document["items"] == 200
    return str(document["sha256"])


def start(home: Path) -> Installation:
    installation = Installation(home)
    installation.import_pictures()
    installation.run("audit", "pictures", "--experts", *EXPERTS)
    return installation


def wait_for_end(installation: Installation, golden: str) -> None:
    wait_until(lambda: installation.audit_state()[0] == "ready", "the audit is ready")
    assert installation.audit_state()[1] == golden
    assert installation.query("SELECT COUNT(*) FROM audit_unscorableitem") == [(0,)]


def test_f02_two_kills_of_the_whole_worker_leave_the_result_as_it_would_have_been(
    tmp_path, undisturbed_hash
):
    installation = start(tmp_path / "home")
    for done_before_the_kill in (2, 8):
        with installation.worker() as worker:
            wait_until(
                lambda: installation.chunks_done() >= done_before_the_kill,  # noqa: B023
                "chunks get done",
            )
            kill_tree(worker.pid)
        assert installation.audit_state()[0] == "scoring"
    with installation.worker():
        wait_for_end(installation, undisturbed_hash)


def test_f01_a_killed_pool_process_is_replaced(tmp_path, undisturbed_hash):
    installation = start(tmp_path / "home")
    with installation.worker() as worker:
        wait_until(lambda: installation.chunks_done() >= 2, "chunks get done")
        owners: list[str] = []

        def somebody_runs() -> bool:
            owners[:] = installation.running_owners()
            return bool(owners)

        wait_until(somebody_runs, "a chunk is running")
        victim = psutil.Process(int(owners[0].rpartition(":")[2]))
        assert victim.pid in {process.pid for process in family(worker.pid)}
        victim.send_signal(signal.SIGKILL)
        wait_for_end(installation, undisturbed_hash)


def test_f02_a_worker_that_is_killed_takes_its_children_along(tmp_path):
    installation = start(tmp_path / "home")
    with installation.worker() as worker:
        wait_until(lambda: installation.chunks_done() >= 1, "chunks get done")
        members = family(worker.pid)
        assert len(members) >= 5
        worker.send_signal(signal.SIGKILL)
        _, alive = psutil.wait_procs(members, timeout=20)
        assert alive == []


def test_f03_a_worker_asked_to_stop_finishes_its_chunk_and_leaves_nothing(tmp_path):
    installation = start(tmp_path / "home")
    with installation.worker() as worker:
        wait_until(lambda: installation.chunks_done() >= 1, "chunks get done")
        members = family(worker.pid)
        worker.send_signal(signal.SIGINT)
        assert worker.wait(timeout=30) == 0
        _, alive = psutil.wait_procs(members, timeout=5)
        assert alive == []
    assert installation.query("SELECT COUNT(*) FROM audit_chunk WHERE work='running'") == [(0,)]
    assert installation.query("SELECT COUNT(*) FROM audit_worker") == [(0,)]


def test_f40_a_cancelled_audit_stays_cancelled_and_resumes_where_it_stopped(
    tmp_path, undisturbed_hash
):
    installation = start(tmp_path / "home")
    with installation.worker():
        wait_until(lambda: installation.chunks_done() >= 2, "chunks get done")
        installation.run("shell", "-c", CANCEL)
        done = installation.chunks_done()
        assert installation.audit_state()[0] == "cancelled"
        wait_until(
            lambda: (
                installation.query("SELECT COUNT(*) FROM audit_chunk WHERE work='running'")
                == [(0,)]
            ),
            "the chunk in hand ends",
        )
        assert installation.chunks_done() <= done + 2
        installation.run("shell", "-c", RESUME)
        wait_for_end(installation, undisturbed_hash)


CANCEL = """
from audit.models import Audit
from audit.services.audits import cancel_audit
assert cancel_audit(Audit.objects.get())
"""
RESUME = CANCEL.replace("cancel_audit", "resume_audit")
