"""Every command that the documentation shows is run, or named here with the reason why it isn't.

Each page is one installation of its own: what the page takes for granted (a folder of pictures, an
audit that people have judged) is made first, small and real; then its lines run in their order.
Those that can't run here are at least taken by the command's own parser.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from uuid import UUID

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.management import call_command, get_commands, load_command_class
from django.core.management.base import CommandParser
from PIL import Image

from audit.models import Audit, Dataset, Membership, Role
from reviews.models import Sample, Verdict
from reviews.services.judgments import Answer, record_judgment
from reviews.services.leases import claim_slots
from reviews.vote_files.real_labels import PACKAGED
from tests.documented import Line, blocks, list_pages, name_of, read_lines
from tests.imagenet import (
    LITE,
    SYNSETS,
    list_pictures,
    package_folder,
    picture_name,
    write_lite,
    write_validation_set,
)

pytestmark = pytest.mark.django_db(transaction=True, reset_sequences=True)

HUB = "downloads weights from the hub, or needs those that were"
UNTIL_STOPPED = "runs until it is stopped: tests/faults and tests/browser start it as a process"
DOCKER = "there is no Docker here: docker-compose.yml is for a machine that has it"
OWN = "wants weights of the reader's own classes; the page trains some below, which runs"
SERVER = "asks a model server: tests/reviews/test_judge_command.py and tests/audit have one"
DOWNLOAD = "installs packages for this page alone"
NOT_RUN = {  # how a line begins, and why it isn't run
    "git clone ADDRESS": "the address is the reader's",
    "cd label-audit": "goes with the clone",
    "make demo": "trains and serves for minutes: docs/take_screenshots.py starts it",
    "make test": "is what runs this",
    "make sbom": "fetches its tool; test_dependencies.py tries what needs no network",
    "make serve": UNTIL_STOPPED,
    "make worker": UNTIL_STOPPED,
    ".venv/bin/python manage.py worker": UNTIL_STOPPED,
    "cp .env.example": DOCKER,
    "docker compose": DOCKER,
    ".venv/bin/python manage.py fetch_expert": HUB,
    ".venv/bin/python manage.py audit imagenet --experts timm:vit_base": HUB,
    ".venv/bin/python manage.py audit mmlu --experts": HUB,
    ".venv/bin/python manage.py audit flowers --experts": OWN,
    ".venv/bin/python manage.py run_expert mmlu transformers:SmolLM2": DOWNLOAD,
    ".venv/bin/python -m pip install": DOWNLOAD,
    "cp .venv/lib": DOWNLOAD,
    ".venv/bin/python docs/examples/write_mmlu_folder.py": DOWNLOAD,
    "uv run": DOWNLOAD,
    ".venv/bin/python manage.py endpoint": SERVER,
    ".venv/bin/python manage.py judge": SERVER,
    ".venv/bin/python manage.py report 1 --truth votes:judge-gpt": SERVER,
    ".venv/bin/python manage.py generate": SERVER,
    "curl ": "asks a running site: tests/reviews/api runs the walks of this page against one",
}
N_ITEMS, N_CLASSES, N_WRONG = 160, 4, 24
ABSOLUTE = ("/backups", "/srv", "/tmp/practice")  # noqa: S108 - where the pages put things


@dataclass
class World:
    """One reader's machine: a folder for `~` and for the current directory, an installation."""

    folder: Path
    home: Path

    def run(self, line: Line) -> None:
        """Run a line: our commands in this process, with settings in front or others in a shell."""
        text = line.text
        for path in ABSOLUTE:
            text = text.replace(f" {path}", f" {self.folder}{path}")
            text = text.replace(f"={path}", f"={self.folder}{path}")
        line = Line(text)
        if line.arguments is None:
            subprocess.run(["bash", "-euc", text], cwd=self.folder, check=True, timeout=30)
        elif line.variables:
            command = [sys.executable, str(ROOT_MANAGE), *line.arguments]
            subprocess.run(command, env={**os.environ, **line.variables}, check=True, timeout=120)
        elif line.target is None:
            self.command(line.arguments)
        else:
            with (self.folder / line.target).open("w", encoding="utf-8") as file:
                self.command(line.arguments, stdout=file)

    def command(self, arguments: list[str], **streams) -> None:
        command, parser = find_parser(arguments[0])
        options = vars(parser.parse_args([os.path.expanduser(each) for each in arguments[1:]]))  # noqa: PTH111
        positional = options.pop("args", ())
        command.execute(*positional, **options, **streams)

    def write_csv(self, name: str, *rows: tuple) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows)

    def audit_by_saved_scores(self, slug: str, *, judged: bool = True) -> None:
        """Audit a data set by two experts that dispute its first labels; somebody judges some."""
        dataset = Dataset.objects.get(slug=slug)
        for name, logits in zip(("one", "two"), saved_logits(dataset), strict=True):
            np.save(self.folder / f"{name}.npy", logits)
            call_command("import_scores", slug, name, self.folder / f"{name}.npy", kind="logits")
        call_command("audit", slug, "--experts", "one", "two", "--bins", "3", "--wait")
        audit = Audit.objects.get()
        if judged:
            call_command("draw_sample", audit.pk, size=20, unflagged=6)
            judge_some(audit)


ROOT_MANAGE = Path(__file__).resolve().parents[1] / "manage.py"


def find_parser(name: str) -> tuple:
    app = get_commands()[name]
    command = load_command_class(app, name) if isinstance(app, str) else app
    parser: CommandParser = command.create_parser("manage.py", name)
    return command, parser


def saved_logits(dataset: Dataset) -> list[np.ndarray]:
    """Logits of two experts that know the labels but for slips, and dispute the first ones."""
    labels = np.array(dataset.items.order_by("position").values_list("given_label", flat=True))
    n_items, n_classes = len(labels), dataset.n_classes
    believed = labels.copy()
    n_wrong = min(N_WRONG, n_items // 6)
    believed[:n_wrong] = (labels[:n_wrong] + 1) % n_classes
    both = []
    for seed in (1, 2):
        rng = np.random.default_rng(seed)
        seen = believed.copy()
        slips = rng.random(n_items) < 0.08
        seen[slips] = (seen[slips] + 2) % n_classes
        logits = rng.normal(size=(n_items, n_classes)).astype(np.float32)
        logits[np.arange(n_items), seen] += rng.uniform(3, 8, n_items).astype(np.float32)
        both.append(logits)
    return both


def judge_some(audit: Audit, n_items: int = 12) -> None:
    person = User.objects.create_user("reader")
    Membership.objects.create(project=audit.dataset.project, user=person, role=Role.ANNOTATOR)
    sample = Sample.objects.get(audit=audit)
    for number in range(min(n_items, sample.n_items)):
        slot = claim_slots(sample, person)[0]
        item = slot.sampled_item.item
        right = Answer(Verdict.LABEL_CORRECT)
        other = (item.given_label + 1) % audit.dataset.n_classes
        wrong = Answer(Verdict.WRONG_LABEL, corrected_label=other)
        if audit.dataset.kind == Dataset.Kind.MULTIPLE_CHOICE:
            return  # the desk for questions has tests of its own; a release needs no verdict
        answer = wrong if item.position < N_WRONG else right
        record_judgment(person, slot.pk, slot.epoch, UUID(int=number), answer)


def write_pictures(folder: Path, n_classes: int = 3, n_each: int = 40) -> None:
    """A folder per class, grey pictures of another brightness in each: anybody learns that."""
    rng = np.random.default_rng(0)
    for label in range(n_classes):
        (folder / f"kind{label}").mkdir(parents=True)
        for number in range(n_each):
            level = 255 * label / (n_classes - 1)
            pixels = np.clip(rng.normal(level, 12, (24, 24, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"kind{label}" / f"{number:03d}.png")


def write_mmlu(folder: Path) -> None:
    """A folder as MMLU is published, of sums."""
    for split, n_questions in (("test", N_ITEMS), ("dev", 5)):
        (folder / split).mkdir(parents=True)
        with (folder / split / f"sums_{split}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(
                (f"What is {n} + {split}?", n, n + 1, n + 2, n + 3, "ABCD"[n % 4])
                for n in range(n_questions)
            )


def bring_in_judged(world: World, slug: str) -> None:
    """A data set of pictures, audited and partly judged: audit 1."""
    rows = []
    for number in range(N_ITEMS):
        pixels = np.full((8, 8), number, dtype=np.uint8)
        name = f"pictures/{number:03d}.png"
        (world.folder / "pictures").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(world.folder / name)
        rows.append((f"item-{number:03d}", number % N_CLASSES, name))
    world.write_csv("judged.csv", ("key", "label", "image"), *rows)
    call_command(
        "import_dataset", slug, world.folder / "judged.csv", format="manifest", project="default"
    )
    world.audit_by_saved_scores(slug)


def prepare_readme(world: World) -> None:
    write_validation_set(world.folder / "imagenet")
    write_mmlu(world.folder / "mmlu")


def prepare_tutorial(world: World) -> None:
    bring_in_judged(world, "mnist-demo")
    truth = [(f"item-{n:03d}", "planted", (n + (n < N_WRONG)) % N_CLASSES) for n in range(N_ITEMS)]
    world.write_csv("truth.csv", ("key", "annotator", "labels"), *truth)
    call_command("import_votes", "mnist-demo", world.folder / "truth.csv", source="planted")


def prepare_own_pictures(world: World) -> None:
    write_pictures(world.folder / "flowers")


def prepare_imagenet(world: World) -> None:
    """Pictures in their classes' folders, under numbers of pictures that ReaL says the same of."""
    real = json.loads((package_folder("timm") / PACKAGED).read_text())
    used: set[int] = set()
    for file, label in list_pictures():
        number = next(n for n, labels in enumerate(real) if labels == [label] and n not in used)
        used.add(number)
        folder = world.folder / "imagenet" / SYNSETS[label]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, folder / picture_name(number + 1))
    for architecture, file in zip(LITE, ("lite0", "lite1"), strict=True):
        write_lite(architecture, world.home / "models" / f"{file}.safetensors")


def prepare_mmlu(world: World) -> None:
    write_mmlu(world.folder / "mmlu")
    columns = ("question", "choices", "answer", "error_type")
    rows = [
        (f"What is {n} + test?", str([str(n + c) for c in range(4)]), n % 4, "ok")
        for n in range(40)
    ]
    world.write_csv("mmlu-redux/sums.csv", columns, *rows)


def prepare_saved_scores(world: World) -> None:
    keys = [f"ILSVRC2012_val_{n + 1:08d}" for n in range(N_ITEMS)]
    rows = [(key, n % N_CLASSES) for n, key in enumerate(keys)]
    world.write_csv("labels.csv", ("key", "label"), *rows)
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(N_ITEMS, N_CLASSES))
    believed = (np.arange(N_ITEMS) + (np.arange(N_ITEMS) < N_WRONG)) % N_CLASSES
    logits[np.arange(N_ITEMS), believed] += 4
    np.save(world.folder / "logits.npy", logits)
    odds = np.exp(logits + rng.normal(size=logits.shape))
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    np.savez(world.folder / "probs.npz", keys=keys[::-1], probabilities=probabilities[::-1])


def prepare_operations(world: World) -> None:
    bring_in_judged(world, "digits")


def prepare_api(_world: World) -> None:
    call_command("add_member", "ada", project="default", role="annotator")


def prepare_releases(world: World) -> None:
    bring_in_judged(world, "digits")


def prepare_language_models(world: World) -> None:
    write_mmlu(world.folder / "mmlu")
    keys = [f"task-{n}" for n in range(40)]
    write_jsonl(world, "questions.jsonl", [{"key": key, "question": "1 + 1?"} for key in keys])
    written = [{"key": key, "answer": "#### 2", "token_logits": [3.0, 5.0]} for key in keys]
    write_jsonl(world, "small.jsonl", written)
    world.write_csv("answers.csv", ("key", "reference"), *((key, "#### 2") for key in keys))


def prepare_formats(world: World) -> None:
    choices = [{"text": str(n), "label": "ABCD"[n]} for n in range(4)]
    asked = [
        {"id": f"q{n}", "question": {"stem": f"{n}?", "choices": choices}, "answerKey": "A"}
        for n in range(6)
    ]
    write_jsonl(world, "ARC-V1-Feb2018-2/ARC-Challenge/ARC-Challenge-Test.jsonl", asked)
    from datasets import Dataset as Table

    hub = world.folder / "hub" / "cais-mmlu" / "all"
    hub.mkdir(parents=True)
    rows = {
        "question": [f"What is {n}?" for n in range(6)],
        "subject": ["sums"] * 6,
        "choices": [["0", "1", "2", "3"]] * 6,
        "answer": [n % 4 for n in range(6)],
    }
    Table.from_dict(rows).to_parquet(hub / "test-00000-of-00001.parquet")
    keys = [f"t{n}" for n in range(200)]
    world.write_csv("tasks.csv", ("key",), *((key,) for key in keys))
    rng = np.random.default_rng(0)
    for name, share in (("small", 0.5), ("large", 0.8)):
        scores = [
            (key, score, int(rng.random() < (share if score < 0 else 0.95)))
            for key, score in zip(keys, rng.normal(size=len(keys)), strict=True)
        ]
        world.write_csv(f"{name}.csv", ("key", "score", "correct"), *scores)


def write_jsonl(world: World, name: str, documents: list[dict]) -> None:
    path = world.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(each)}\n" for each in documents), encoding="utf-8")


def nothing(_world: World) -> None:
    """The page's lines need nothing."""


PAGES: dict[str, Callable[[World], None]] = {
    "README.md": prepare_readme,
    "docs/tutorial/first_release.md": prepare_tutorial,
    "docs/how-to/own_pictures.md": prepare_own_pictures,
    "docs/how-to/imagenet.md": prepare_imagenet,
    "docs/how-to/mmlu.md": prepare_mmlu,
    "docs/how-to/saved_scores.md": prepare_saved_scores,
    "docs/how-to/several_machines.md": nothing,
    "docs/how-to/operations.md": prepare_operations,
    "docs/how-to/api.md": prepare_api,
    "docs/reference/releases.md": prepare_releases,
    "docs/reference/language_models.md": prepare_language_models,
    "docs/reference/formats.md": prepare_formats,
}
EXTEND = "docs/how-to/extend.md"  # its commands need its own files: a test of its own


@pytest.fixture
def world(tmp_path, settings, monkeypatch, fresh_home) -> World:
    """A folder that is both `~` and the current directory, where `var` is the installation."""
    folder = tmp_path / "reader"
    folder.mkdir()
    (folder / "var").symlink_to(fresh_home)
    (folder / "srv").mkdir()
    (folder / "tmp").mkdir()
    (folder / "backups").mkdir()
    (fresh_home / "models").mkdir()
    fresh_home.chmod(0o700)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(folder)
    return World(folder, fresh_home)


def reason_not_to_run(line: Line) -> str | None:
    return next((why for start, why in NOT_RUN.items() if line.text.startswith(start)), None)


@pytest.mark.parametrize("page", PAGES)
def test_the_page_s_commands_do_what_it_says(page, world):
    PAGES[page](world)
    lines = list(read_lines(page))
    audits = [line for line in lines if (line.arguments or [""])[0] == "audit"]
    has_none_that_runs = all(reason_not_to_run(line) for line in audits)
    for line in lines:
        if reason_not_to_run(line) is None:
            world.run(line)
        elif line in audits and has_none_that_runs and not Audit.objects.exists():
            # Its experts can't be had here: saved scores stand in, for what follows on the page.
            draws = any((each.arguments or [""])[0] == "draw_sample" for each in lines)
            world.audit_by_saved_scores((line.arguments or [])[1], judged=not draws)


def test_every_command_in_the_documentation_is_one_of_a_page_that_is_tried():
    tried = {*PAGES, EXTEND}
    for page in map(name_of, list_pages()):
        assert page in tried or not list(read_lines(page)), f"{page} has commands nobody tries"
        for tag in ("", "text", "bash", "console"):
            hidden = [code for code in blocks(page, tag) if code.startswith((".venv/", "make "))]
            assert hidden == [], f"{page}: this block should be marked as sh"


def test_what_cannot_run_here_is_named_with_its_reason_and_taken_by_its_parser():
    lines = [line for page in PAGES for line in read_lines(page)]
    for start in NOT_RUN:
        assert any(line.text.startswith(start) for line in lines), f"nobody documents {start}"
    for line in lines:
        if reason_not_to_run(line) is not None and line.arguments is not None:
            _, parser = find_parser(line.arguments[0])
            parser.parse_args(line.arguments[1:])


def test_a_command_that_no_parser_takes_is_noticed():
    _, parser = find_parser("report")
    with pytest.raises(Exception, match="unrecognized arguments"):
        parser.parse_args(["1", "--truths", "votes:real"])


def module_of(name: str, code: str) -> ModuleType:
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader=None))
    exec(code, module.__dict__)  # noqa: S102 - our own documentation
    return module


def extend_registry(registry: ModuleType, code: str, monkeypatch) -> None:
    """Run lines that a page adds to a registry, until the end of the test."""
    scope = dict(vars(registry))
    exec(code, scope)  # noqa: S102 - our own documentation
    for name in {"BACKENDS", "_PARSERS", "FORMATS"} & set(vars(registry)):
        known = getattr(registry, name)
        added = {key: value for key, value in scope[name].items() if key not in known}
        assert len(added) == 1
        for key, value in added.items():  # in place: others have imported the same table
            monkeypatch.setitem(known, key, value)


def test_the_documented_expert_loader_and_writer_work_as_they_stand(world, monkeypatch):
    from audit.loaders import registry as loaders
    from reviews.release_formats import registry as writers
    from scoring.experts import registry as experts

    expert, expert_lines, loader, loader_lines, writer, writer_lines = blocks(EXTEND, "python")
    for name, code in (
        ("scoring.experts.brightness_expert", expert),
        ("audit.loaders.tsv", loader),
        ("reviews.release_formats.tsv", writer),
    ):
        monkeypatch.setitem(sys.modules, name, module_of(name, code))
    extend_registry(experts, expert_lines, monkeypatch)
    extend_registry(loaders, loader_lines, monkeypatch)
    extend_registry(writers, writer_lines, monkeypatch)
    write_pictures(world.folder / "greys", n_classes=4, n_each=10)
    call_command("import_dataset", "greys", world.folder / "greys", format="imagefolder")
    run_expert, import_tabbed, export = read_lines(EXTEND)
    world.run(run_expert)
    from audit.models import ScoreSet
    from audit.score_store import open_scores

    logits = np.asarray(open_scores(ScoreSet.objects.get().pk)[0:40])
    given = list(Dataset.objects.get().items.values_list("given_label", flat=True))
    assert logits.argmax(axis=1).tolist() == given
    rows = [
        f"{'dark' if n < 80 else 'light'}\tgreys/kind{n // 40}/{n % 10:03d}.png" for n in range(160)
    ]
    (world.folder / "labels.tsv").write_text("".join(f"{row}\n" for row in dict.fromkeys(rows)))
    world.run(import_tabbed)
    assert list(Dataset.objects.get(slug="tabbed").classes.values_list("name", flat=True)) == [
        "dark",
        "light",
    ]
    bring_in_judged(world, "judged")
    world.run(export)
    written = (world.folder / "tabbed-cleaned" / "labels.tsv").read_text().splitlines()
    assert len(written) == N_ITEMS
    assert sum(row.split("\t")[0] != str(n % N_CLASSES) for n, row in enumerate(written)) > 0


def test_the_library_s_examples_run_as_they_stand(capsys):
    [example] = blocks("docs/reference/scoring.md", "python")
    scope: dict = {}
    exec(example, scope)  # noqa: S102 - our own documentation
    assert float(capsys.readouterr().out) == pytest.approx(3, rel=0.1)
    assert scope["probabilities"].sum(axis=1) == pytest.approx(np.ones(2000))
    [readme] = blocks("README.md", "python")
    given = {key: scope[key] for key in ("logits", "labels")}
    exec(readme, {**given, "half_a": np.arange(2000) % 2 == 0})  # noqa: S102
