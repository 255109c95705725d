"""No test uses the network: the guard in this process, in those it starts, and what it found."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guard import sitecustomize

guard = sys.label_audit_guard  # the one that watches
FOLDER = str(Path(sitecustomize.__file__).parent)
others = [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each != FOLDER]
os.environ["PYTHONPATH"] = os.pathsep.join([FOLDER, *filter(None, others)])


@pytest.fixture(autouse=True)
def off_the_network() -> Iterator[None]:
    """Fail a test that reached for the network, also where it got over the refusal."""
    del guard.refused[:]
    yield
    assert not guard.refused, f"reached for the network: {guard.refused}"
