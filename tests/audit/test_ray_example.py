"""The example of a batch job runs on Ray, and what it writes is what a worker would have."""

from __future__ import annotations

import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from django.core.management import call_command

from audit.models import ScoreSet
from audit.score_store import open_scores
from audit.services.scores import request_scores
from audit.tasks import score_from
from tests.factories import make_dataset

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "ray_scores.py"


def run_job(command: list[str], folder: Path) -> None:
    """Run the example; Ray itself gives its own processes 30 seconds to start, busy or not."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}
    for _ in range(3):
        done = subprocess.run(
            command,
            check=False,
            timeout=240,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
        )
        if "timed out during startup" not in done.stderr:
            break
    assert done.returncode == 0, done.stderr


@pytest.mark.django_db
def test_the_ray_job_of_the_documentation_gives_the_workers_scores(tmp_path, settings):
    dataset = make_dataset(n_items=40)
    settings.CHUNK_ITEMS = 40
    own = request_scores(dataset, "stub:3-7")
    score_from(own.chunks.get().pk, goes_on=False)
    items = list(dataset.items.order_by("position").values_list("key", "given_label", "image"))
    labels = tmp_path / "labels.csv"
    rows = [f"{key},{label},{image}" for key, label, image in items]
    labels.write_text("\n".join(["key,label,image", *rows]) + "\n")
    (dataset.folder / items[11][2]).write_bytes(b"no picture")
    out = tmp_path / "shards"
    command = [sys.executable, str(EXAMPLE), str(labels), str(dataset.folder), "stub:3-7", str(out)]
    run_job([*command, "--shard-items", "16", "--processes", "2"], tmp_path)
    call_command(
        "import_scores", dataset.slug, "ray", str(out), "--kind", "shards", stdout=StringIO()
    )
    expected = np.array(open_scores(own.pk)[0:40])
    expected[11] = np.nan
    imported = ScoreSet.objects.get(expert="ray")
    np.testing.assert_array_equal(open_scores(imported.pk)[0:40], expected)
    own.refresh_from_db()
    assert imported.card["fingerprint"] == own.card["fingerprint"]
    assert list(imported.unscorable.values_list("item__position", flat=True)) == [11]
