"""Runs the whole demonstration: data, experts, audit, sample, web site."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.demo.digits import NOTICE, write_digits
from audit.demo.language import prepare_questions
from audit.demo.tour import TourError, take_tour
from audit.demo.waiting import wait_until
from audit.models import Audit, Dataset, Membership, Project, Role, ScoreSet
from audit.processes import Child, Stop, die_with_parent, keep_running, manage_command, stop_all
from audit.services.audits import start_audit
from audit.services.progress import score_set_progress
from audit.services.scores import request_scores

PROJECT = "demo"
DATASET = "mnist-demo"
SOURCE = "planted"
# Two different kinds of network, so that their mistakes differ.
ARCHITECTURES = {"test_resnet": 6, "test_vit": 12}


class Command(BaseCommand):
    help = "Start a real audit of real digits with planted errors, and the web site to watch it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help="Leave once every page of the tour has answered."
        )
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument(
            "--language",
            action="store_true",
            help="Also have two language models answer generated questions (fetches 350 MB).",
        )

    def handle(self, **options: Any) -> None:
        call_command("migrate", verbosity=0)
        log_ins = reset_log_ins()
        port = free_port(options["port"])
        base = f"http://127.0.0.1:{port}"
        web = Child("web", manage_command("serve", "--port", str(port)), restart=False)
        engine = Child("worker", manage_command("worker"))
        state = {"ready": False}

        def tick() -> bool:
            if not state["ready"]:
                audits = [self._prepare(engine)]
                wait_until(lambda: answers(base), "the web site")
                self._welcome(base, log_ins)
                if options["language"]:
                    audits.append(prepare_questions(PROJECT, engine, self._say))
                state["ready"] = True
                if options["check"]:
                    self._check(base, log_ins, audits)
                    return False
            return True

        try:
            code = keep_running([web, engine], every=0.5, tick=tick)
        except Stop:
            stop_all([web, engine])
            code = 0
        sys.exit(code)

    def _prepare(self, engine: Child) -> Audit:
        """Make what isn't there yet; a second start finds everything and goes on."""
        folder = Path(settings.LABEL_AUDIT_HOME, "demo")
        if not Dataset.objects.filter(slug=DATASET).exists():
            self._say("writing 5,000 digits, one in twenty labelled wrong")
            labels, _ = write_digits(folder)
            call_command(
                "import_dataset", DATASET, labels, format="manifest", root=folder,
                classes=None, project=PROJECT, notice=NOTICE, stdout=self.stderr,
            )  # fmt: skip
        dataset = Dataset.objects.get(slug=DATASET)
        audit = Audit.objects.filter(dataset=dataset).order_by("pk").first()
        if audit is None:
            missing = [name for name in ARCHITECTURES if not is_cross_fitted(dataset, name)]
            trainings = {name: self._start_training(name) for name in missing}
            for name, training in trainings.items():
                self._cross_fit(dataset, name, training, engine)
            audit = start_audit(dataset, [cross_fitted_name(name) for name in ARCHITECTURES])
        self._say("calibrating and flagging")
        wait_until(lambda: self._is_over(audit), "the audit", engine)
        if not audit.is_ready:
            raise CommandError(f"{audit}: {audit.state}: {audit.error}")
        if not dataset.vote_sources.exists():
            truth = folder / "truth.csv"
            call_command("import_votes", DATASET, truth, source=SOURCE, stdout=self.stderr)
            call_command("draw_sample", audit.pk, size=300, unflagged=100, stdout=self.stderr)
        return audit

    def _start_training(self, architecture: str) -> subprocess.Popen[bytes]:
        self._say(f"training {architecture} on either half of the labels")
        epochs = str(ARCHITECTURES[architecture])
        # Processes of their own, one thread each: torch stays out of this one.
        return subprocess.Popen(  # noqa: S603 - our own command line
            manage_command("train_folds", DATASET, architecture, "--epochs", epochs, "--json"),
            stdout=subprocess.PIPE,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - the parent is single-threaded here
        )

    def _cross_fit(
        self, dataset: Dataset, architecture: str, training: subprocess.Popen[bytes], engine: Child
    ) -> None:
        name = cross_fitted_name(architecture)
        printed, _ = training.communicate()
        if training.returncode:
            raise CommandError(f"training {architecture} ended with {training.returncode}")
        folds = json.loads(printed)
        for expert in folds["experts"]:
            score_set = request_scores(dataset, expert)
            wait_until(partial(self._is_scored, score_set), expert, engine)
            if not score_set.is_ready:
                raise CommandError(f"{score_set}: {score_set.error}")
        call_command(
            "combine_folds", DATASET, name, "--folds", *folds["experts"],
            "--held-out", folds["held_out"], stdout=self.stderr,
        )  # fmt: skip

    def _is_scored(self, score_set: ScoreSet) -> bool:
        score_set.refresh_from_db()
        if score_set.state == ScoreSet.State.SCORING:
            return False
        now = score_set_progress(score_set, score_set.dataset.n_items)
        self._say(f"  the worker scored {now.done:,} items by {now.name}")
        return True

    def _is_over(self, audit: Audit) -> bool:
        audit.refresh_from_db()
        return not audit.is_under_way

    def _welcome(self, base: str, log_ins: dict[str, tuple[str, str]]) -> None:
        lines = ["", f"Label audit is at {base}/", ""]
        lines += [f"  {role:<11} {name} / {password}" for role, (name, password) in log_ins.items()]
        self.stdout.write("\n".join([*lines, "", "Ctrl-C stops everything.", ""]))
        self.stdout.flush()

    def _check(
        self, base: str, log_ins: dict[str, tuple[str, str]], audits: Sequence[Audit]
    ) -> None:
        try:
            for line in take_tour(base, log_ins, pages_of_tour(audits)):
                self._say(f"  {line}")
        except TourError as error:
            raise CommandError(str(error)) from error

    def _say(self, text: str) -> None:
        self.stderr.write(text)


def cross_fitted_name(architecture: str) -> str:
    """Return the name of the expert whose every score is out of sample."""
    return f"crossfit:{architecture}"


def is_cross_fitted(dataset: Dataset, architecture: str) -> bool:
    """Whether an earlier start got as far as that expert's scores."""
    name = cross_fitted_name(architecture)
    return ScoreSet.objects.filter(dataset=dataset, expert=name).exists()


def pages_of_tour(audits: Sequence[Audit]) -> dict[str, list[str]]:
    """Return the pages each role is shown."""
    desk, manager = ["/"], ["/audits/new/"]
    for audit in audits:
        item = audit.dataset.items.order_by("position").values_list("pk", flat=True)[0]
        desk.append(f"/audits/{audit.pk}/review/")
        if audit.dataset.has_pictures:
            desk += [f"/items/{item}/image/", f"/items/{item}/thumb/"]
        parts = ["", "calibration/", "queue/", f"queue/{item}/", "sample/", "curves/", "releases/"]
        manager += [f"/audits/{audit.pk}/{part}" for part in parts]
    return {"annotator": desk, "maintainer": [*desk, *manager], "admin": [*desk, *manager]}


def reset_log_ins() -> dict[str, tuple[str, str]]:
    """Give each role one log-in with a new random password."""
    project, _ = Project.objects.get_or_create(slug=PROJECT, defaults={"name": "Demonstration"})
    log_ins = {}
    for role in Role:
        user, _ = User.objects.get_or_create(username=f"demo-{role.label}")
        password = secrets.token_urlsafe(9)
        user.set_password(password)
        user.save(update_fields=["password"])
        Membership.objects.update_or_create(project=project, user=user, defaults={"role": role})
        log_ins[role.label] = (user.username, password)
    return log_ins


def free_port(first: int) -> int:
    """Return the first free port of the loopback interface from `first` on."""
    for port in range(first, first + 50):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise CommandError(f"no free port from {first} on")


def answers(base: str) -> bool:
    """Whether the site serves its log-in page."""
    try:
        with urllib.request.urlopen(f"{base}/login/", timeout=2) as page:  # noqa: S310  # nosec B310 - loopback
            return bool(page.status == 200)
    except (urllib.error.URLError, OSError):
        return False
