"""The documentation's walks through the API, run as written: real curl, real server, client."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from audit.local_engine import work_until
from audit.models import Audit, Claimable, Import, Role
from audit.services.imports import run_import
from label_audit_client import client
from reviews.models import Judgment, Release
from reviews.services.releases import build_release
from reviews.services.sampling import freeze_sample
from reviews.services.votes import run_votes_import
from tests.api.callers import secret_of
from tests.factories import make_member
from tests.reviews.situations import judge
from tests.test_contract import make_scored_dataset

pytestmark = [
    pytest.mark.django_db(transaction=True, reset_sequences=True),
    pytest.mark.service,
]
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "api.md"
SITE = "http://127.0.0.1:8000"


def blocks(heading: str, language: str) -> list[str]:
    """The code of one section of the page."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


def let_workers_work(_seconds: float = 0) -> None:
    """What workers do while somebody waits, done here."""
    work_until(lambda: not Audit.objects.under_way().exists())
    for pk in Release.objects.filter(work=Claimable.Work.PENDING).values_list("pk", flat=True):
        assert build_release(pk)


def make_token() -> tuple[object, str]:
    dataset = make_scored_dataset()
    return dataset, secret_of(make_member(dataset.project, Role.MAINTAINER))


def test_the_walk_by_curl_works_as_it_is_written(live_server, tmp_path):
    if shutil.which("curl") is None:
        pytest.skip("no curl here")
    dataset, secret = make_token()
    environment = {**os.environ, "TOKEN": secret}

    def run(script: str) -> str:
        script = "set -e\n" + script.replace(SITE, live_server.url)
        command = ["bash", "-c", script.replace("/datasets/1/", f"/datasets/{dataset.pk}/")]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    (listing, *_) = blocks("A token", "sh")[1:]
    assert dataset.project.slug in run(listing)
    start, look, release = blocks("A walk by curl", "sh")
    assert '"state": "calibrating"' in run(start)
    let_workers_work()
    assert '"calibrated_ensemble"' in run(look)
    sample = freeze_sample(Audit.objects.get(), size=20, unflagged=10)
    judge(sample, {sample.items.first().item.position: "label_correct"})
    order, fetch = release.split("curl")[1:]
    assert '"work": "pending"' in run("curl" + order)
    let_workers_work()
    run("curl" + fetch)
    assert (tmp_path / "release.tar").stat().st_size > 10_000


def test_files_are_brought_in_as_it_is_written(live_server, tmp_path, settings):
    if shutil.which("curl") is None:
        pytest.skip("no curl here")
    dataset, secret = make_token()
    folder = tmp_path / "open" / "flowers"
    folder.mkdir(parents=True)
    settings.IMPORT_ROOTS = [str(folder.parent)]
    keys = list(dataset.items.order_by("position").values_list("key", flat=True))
    (folder / "labels.csv").write_text("key,label\na,0\nb,1\n")
    np.save(folder / "saved.npy", np.full((len(keys), dataset.n_classes), 1 / dataset.n_classes))
    (folder / "votes.csv").write_text(f"key,annotator,labels\n{keys[0]},ann,1\n")
    changes = {SITE: live_server.url, "/datasets/1/": f"/datasets/{dataset.pk}/"}
    changes["/projects/1/"] = f"/projects/{dataset.project_id}/"
    for block in blocks("Bringing files in", "sh"):
        script = block
        for written, meant in changes.items():
            script = script.replace(written, meant)
        command = ["bash", "-ec", script]
        subprocess.run(command, env={**os.environ, "TOKEN": secret}, check=True)
    assert set(Import.objects.values_list("work", flat=True)) == {"pending"}
    for each in Import.objects.all():
        assert run_import(each.pk) or run_votes_import(each.pk)
    assert set(Import.objects.values_list("kind", "work")) == {
        ("dataset", "done"), ("scores", "done"), ("votes", "done"),
    }  # fmt: skip


def test_the_walk_by_the_client_works_as_it_is_written(live_server, tmp_path, monkeypatch):
    _, secret = make_token()
    (code,) = blocks("A walk by the client", "python")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(client.time, "sleep", let_workers_work)
    exec(code.replace(SITE, live_server.url), {"token": secret})  # noqa: S102 - our own page
    assert Judgment.objects.count() == Audit.objects.get().sample.n_votes > 10
    assert set(Judgment.objects.values_list("stage", flat=True)) == {"blind"}
    assert Release.objects.get().is_ready
    assert (tmp_path / "release.tar").stat().st_size > 10_000
