"""Items that kill, hang or break whatever touches them: found, left out, the rest unharmed."""

from __future__ import annotations

from tests.faults.campaign import fault
from tests.faults.scene import INJECTED, MARKED, QUICK, Scene, embedded


def poisoned(scene: Scene, name: str, code: str) -> None:
    with scene.worker(PYTHONPATH=INJECTED, FAULT_AT_ITEM=name):
        scene.start_audit()
        scene.recovers(left_out=MARKED, quiet=False)
    assert scene.notes == [f"item left out: {code}"], scene.notes
    failures = scene.installation.query("SELECT MAX(failures) FROM audit_scoreset")[0][0]
    scene.notes.append(f"{failures} attempts")


@fault("F10a", "an item that needs more memory than there is", embedded(QUICK))
def out_of_memory(scene: Scene) -> None:
    """It is found and left out as `expert_error`."""
    poisoned(scene, "memory", "expert_error")


@fault("F10b", "an item whose process the kernel kills each time", embedded(QUICK))
def killed(scene: Scene) -> None:
    """It is found and left out as `killed_worker`."""
    poisoned(scene, "kill", "killed_worker")


@fault("F11a", "an item at which the process aborts", embedded(QUICK))
def aborted(scene: Scene) -> None:
    """It is found and left out as `killed_worker`."""
    poisoned(scene, "abort", "killed_worker")


@fault("F11b", "an item at which the process faults", embedded(QUICK))
def faulted(scene: Scene) -> None:
    """It is found and left out as `killed_worker`."""
    poisoned(scene, "segfault", "killed_worker")


@fault("F12a", "an item at which SystemExit is raised", embedded(QUICK))
def exiting(scene: Scene) -> None:
    """It is found and left out as `expert_error`."""
    poisoned(scene, "exit", "expert_error")


@fault("F12b", "an item at which KeyboardInterrupt is raised", embedded(QUICK))
def interrupted(scene: Scene) -> None:
    """It is found and left out as `expert_error`."""
    poisoned(scene, "interrupt", "expert_error")


@fault("F12c", "an item at which GeneratorExit is raised", embedded(QUICK))
def generator(scene: Scene) -> None:
    """It is found and left out as `expert_error`."""
    poisoned(scene, "generator", "expert_error")


@fault(
    "F13",
    "an item at which the process never comes back",
    embedded(QUICK, LABEL_AUDIT_CHUNK_SECONDS="12"),
)
def hanging(scene: Scene) -> None:
    """It is stopped when its time (12 s a chunk) is up, found, and left out as `timed_out`."""
    poisoned(scene, "hang", "timed_out")
