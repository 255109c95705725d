"""Releases of fifty thousand labels: quick, in little memory, the same bytes twice."""

from __future__ import annotations

import pytest

from tests.benchmarks import releases


@pytest.mark.parametrize("name", ["csv", "hf", "mmlu-csv"])
def test_e06_fifty_thousand_labels_take_little_time_and_memory(tmp_path, name):
    audits = releases.run("seed", 50_000, home=tmp_path)
    audit = audits["questions" if name in releases.OF_QUESTIONS else "pictures"]
    said = releases.measure(audit, name, tmp_path)
    assert (said["same"], said["found"]) == (True, True)
    assert said["cpu"] < 20
    assert said["peak_mb"] < 300
    assert said["bytes"] > 5_000_000
