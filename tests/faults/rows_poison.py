"""Items that kill, hang or break whatever touches them: found, left out, the rest unharmed."""

from __future__ import annotations

import os

from tests.faults.campaign import fault
from tests.faults.scene import INJECTED, MARKED, Scene, embedded

QUICK = ("stub:4-1-5", "stub:4-2-5")


def poisoned(name: str, code: str, **environment: str) -> Scene:
    with (
        embedded(QUICK, **environment) as scene,
        scene.installation.worker(PYTHONPATH=INJECTED, FAULT_AT_ITEM=name),
    ):
        scene.clear()
        scene.start_audit()
        scene.await_end()
        scene.check(left_out=MARKED, quiet=False)
        assert scene.notes == [f"item left out: {code}"], scene.notes
        failures = scene.installation.query("SELECT MAX(failures) FROM audit_scoreset")[0][0]
        scene.notes.append(f"{failures} attempts")
    return scene


@fault("F10a", "an item that needs more memory than there is")
def out_of_memory() -> Scene:
    return poisoned("memory", "expert_error")


@fault("F10b", "an item whose process the kernel kills each time")
def killed() -> Scene:
    return poisoned("kill", "killed_worker")


@fault("F11a", "an item at which the process aborts")
def aborted() -> Scene:
    return poisoned("abort", "killed_worker")


@fault("F11b", "an item at which the process faults")
def faulted() -> Scene:
    return poisoned("segfault", "killed_worker")


@fault("F12a", "an item at which SystemExit is raised")
def exiting() -> Scene:
    return poisoned("exit", "expert_error")


@fault("F12b", "an item at which KeyboardInterrupt is raised")
def interrupted() -> Scene:
    return poisoned("interrupt", "expert_error")


@fault("F12c", "an item at which GeneratorExit is raised")
def generator() -> Scene:
    return poisoned("generator", "expert_error")


@fault("F13", "an item at which the process never comes back")
def hanging() -> Scene:
    assert os.name == "posix"
    return poisoned("hang", "killed_worker", LABEL_AUDIT_CHUNK_SECONDS="30")
