"""What is installed: pinned, hashed for the image, and named in a bill of materials."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.test_docs import ROOT

PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
CONSTRAINTS = dict(PINNED.findall((ROOT / "constraints.txt").read_text()))
LOCK = (ROOT / "requirements.lock").read_text()
LOCKED = dict(PINNED.findall(LOCK))
LINUX = {"sys_platform": "linux", "platform_machine": "x86_64", "platform_system": "Linux"}


def needed(names: list[str]) -> set[str]:
    """Names of all that these requirements ask for on Linux, and what those ask for."""
    found: set[tuple[str, str]] = set()
    waiting = [Requirement(each) for each in names]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        for extra in {"", *requirement.extras}:
            if (name, extra) in found:
                continue
            found.add((name, extra))
            try:
                asked = map(Requirement, requires(name) or [])
            except PackageNotFoundError:  # of another machine than this one
                continue
            waiting += [
                each
                for each in asked
                if each.marker is None or each.marker.evaluate({**LINUX, "extra": extra})
            ]
    return {name for name, _ in found}


@pytest.mark.row("G04")
def test_g04_the_image_s_packages_are_the_pinned_ones_each_file_by_its_hash():
    assert len(LOCKED) > 100
    assert {name: CONSTRAINTS.get(name) for name in LOCKED} == LOCKED
    entries = re.split(r"\n(?=\S)", LOCK.strip())
    assert len(entries) == len(LOCKED)
    for entry in entries:
        first, *hashes = entry.split(" \\\n    ")
        assert hashes, first
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", each) for each in hashes), first
    assert "://" not in LOCK


@pytest.mark.row("G04")
def test_g04_nothing_that_is_needed_is_missing_from_the_lock():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = needed(project["dependencies"])
    assert len(asked) > 60
    assert asked <= {canonicalize_name(name) for name in LOCKED}


@pytest.mark.row("G12")
def test_g12_the_bill_of_the_front_end_names_all_of_it():
    options = ["--package-lock-only", "--sbom-format", "cyclonedx"]
    folder = os.path.dirname(sys.executable)  # noqa: PTH120 - not led on by links
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    run = subprocess.run(
        ["npm", "sbom", *options], cwd=ROOT, env=environment, capture_output=True, check=True
    )
    named = {(each["name"], each["version"]) for each in json.loads(run.stdout)["components"]}
    lock = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    installed = {
        (path.rpartition("node_modules/")[2], each["version"])
        for path, each in lock.items()
        if path
    }
    assert installed == named
    assert len(named) > 5


@pytest.mark.row("G12")
def test_g12_one_command_writes_the_bills_by_a_pinned_tool():
    rules = (ROOT / "Makefile").read_text().split("\nsbom:")[1].split("\n\n")[0]
    assert "--from cyclonedx-bom==" in rules
    assert "npm sbom --package-lock-only --sbom-format cyclonedx" in rules
    for page in ("SECURITY.md", "docs/how-to/operations.md"):
        assert "make sbom" in (ROOT / page).read_text()
