"""Every operation of the API as a method."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import httpx2

from label_audit_client import documents as doc
from label_audit_client.connection import Connection

POLL_SECONDS = 2.0


class StoppedError(RuntimeError):
    """What was waited for came to an end without what was wanted; the message says why."""


class LabelAudit:
    """A site at an `address`, as the person whose `token` it is may use it.

    Lists are iterators that ask for one part after the other. `ApiError` says why something is
    refused. Verdicts, audits, releases and imports get a key of their own, so that trying again
    never makes two; give a `key`, a UUID, where a whole script may be run again.
    """

    def __init__(
        self,
        address: str,
        token: str,
        *,
        timeout: float = 60.0,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._site = Connection(address, token, timeout=timeout, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what is open."""
        self._site.close()

    # Who, and where

    def me(self) -> doc.Me:
        found: doc.Me = self._site.get("/me")
        return found

    def projects(self) -> Iterator[doc.Project]:
        return self._site.each("/projects")

    def project(self, project: int) -> doc.Project:
        found: doc.Project = self._site.get(f"/projects/{project}")
        return found

    def members(self, project: int) -> Iterator[doc.Member]:
        return self._site.each(f"/projects/{project}/members")

    def people(self, project: int) -> list[dict[str, Any]]:
        """How much and how fast everybody judges."""
        found: list[dict[str, Any]] = self._site.get(f"/projects/{project}/people")["people"]
        return found

    # Data sets and scores

    def imports(self, project: int) -> Iterator[doc.Import]:
        return self._site.each(f"/projects/{project}/imports")

    def order_import(
        self,
        project: int,
        slug: str,
        format: str,  # noqa: A002 - the API's word for it
        path: str,
        *,
        key: str = "",
        **more: str,
    ) -> doc.Import:
        """Have a data set brought in from the server; `more`: classes, root, split, notice."""
        body = {"slug": slug, "format": format, "path": path, **more}
        found: doc.Import = self._make(f"/projects/{project}/imports", body, key)
        return found

    def import_scores(
        self, dataset: int, expert: str, path: str, *, key: str = "", **more: str
    ) -> doc.Import:
        """Have saved scores brought in from the server; `more`: format (by default logits), .."""
        body = {"expert": expert, "path": path, **more}
        found: doc.Import = self._make(f"/datasets/{dataset}/scores/imports", body, key)
        return found

    def import_votes(
        self, dataset: int, source: str, path: str = "", *, key: str = "", **more: str
    ) -> doc.Import:
        """Have outside votes brought in from the server; `more`: format (by default table)."""
        body = {"source": source, "path": path, **more}
        found: doc.Import = self._make(f"/datasets/{dataset}/votes/imports", body, key)
        return found

    def vote_sources(self, dataset: int) -> Iterator[doc.VoteSource]:
        """The outside votes on a data set, source by source."""
        return self._site.each(f"/datasets/{dataset}/votes")

    def import_state(self, number: int) -> doc.Import:
        """How far an import is."""
        found: doc.Import = self._site.get(f"/imports/{number}")
        return found

    def cancel_import(self, number: int) -> doc.WorkChanged:
        found: doc.WorkChanged = self._site.post(f"/imports/{number}/cancel")
        return found

    def resume_import(self, number: int) -> doc.WorkChanged:
        found: doc.WorkChanged = self._site.post(f"/imports/{number}/resume")
        return found

    def wait_for_import(self, number: int, *, seconds: float = 86_400) -> doc.Import:
        """Return an import once what it brings is there; `StoppedError` if it is refused."""
        end = time.monotonic() + seconds
        while True:
            found = self.import_state(number)
            if found["work"] == "done":
                return found
            if found["work"] in {"failed", "cancelled"}:
                raise StoppedError(f"import {number} is {found['work']}: {found['error']}")
            _rest(end, f"import {number} is still {found['work']}")

    def datasets(self) -> Iterator[doc.Dataset]:
        return self._site.each("/datasets")

    def dataset(self, dataset: int) -> doc.Dataset:
        found: doc.Dataset = self._site.get(f"/datasets/{dataset}")
        return found

    def items(self, dataset: int, *, quarantined: bool | None = None) -> Iterator[doc.Item]:
        return self._site.each(f"/datasets/{dataset}/items", quarantined=quarantined)

    def classes(self, dataset: int) -> Iterator[doc.DatasetClass]:
        return self._site.each(f"/datasets/{dataset}/classes")

    def scores(self, dataset: int) -> Iterator[doc.Scores]:
        return self._site.each(f"/datasets/{dataset}/scores")

    def order_scores(self, dataset: int, expert: str) -> doc.Scores:
        found: doc.Scores = self._site.post(f"/datasets/{dataset}/scores", {"expert": expert})
        return found

    def score_set(self, scores: int) -> doc.Scores:
        """How far one expert's scores are."""
        found: doc.Scores = self._site.get(f"/scores/{scores}")
        return found

    # Audits and queues

    def audits(self) -> Iterator[doc.AuditRow]:
        return self._site.each("/audits")

    def start_audit(
        self, dataset: int, experts: Sequence[str], *, key: str = "", **parameters: Any
    ) -> doc.Audit:
        """Start an audit; `parameters`: bins, bins_over, calibrator, seed, urgent, .."""
        body = {"experts": list(experts), **parameters}
        found: doc.Audit = self._make(f"/datasets/{dataset}/audits", body, key)
        return found

    def audit(self, audit: int) -> doc.Audit:
        found: doc.Audit = self._site.get(f"/audits/{audit}")
        return found

    def wait_for_audit(self, audit: int, *, seconds: float = 86_400) -> doc.Audit:
        """Return an audit once it is ready; `StoppedError` if it comes to another end."""
        end = time.monotonic() + seconds
        while True:
            found = self.audit(audit)
            if found["state"] == "ready":
                return found
            if found["state"] in {"failed", "cancelled"}:
                raise StoppedError(f"audit {audit} is {found['state']}: {found['error']}")
            _rest(end, f"audit {audit} is still {found['state']}")

    def cancel_audit(self, audit: int) -> doc.Changed:
        found: doc.Changed = self._site.post(f"/audits/{audit}/cancel")
        return found

    def resume_audit(self, audit: int) -> doc.Changed:
        found: doc.Changed = self._site.post(f"/audits/{audit}/resume")
        return found

    def hurry_audit(self, audit: int, *, urgent: bool = True) -> doc.Changed:
        """Score an audit's items first, or in turn again."""
        found: doc.Changed = self._site.post(f"/audits/{audit}/urgent", {"urgent": urgent})
        return found

    def queue(self, audit: int, **narrowed: Any) -> Iterator[doc.Flag]:
        """A method's flags, the first to look at first; `narrowed`: method, k, bin, label, .."""
        return self._site.each(f"/audits/{audit}/queue", **narrowed)

    # Samples

    def plan_sample(self, audit: int, **numbers: Any) -> list[doc.Stratum]:
        found: list[doc.Stratum] = self._site.post(f"/audits/{audit}/sample/plan", numbers)[
            "strata"
        ]
        return found

    def draw_sample(self, audit: int, **numbers: Any) -> doc.Sample:
        """Draw the items that people judge; `numbers`: size, unflagged, votes_per_item, seed, .."""
        found: doc.Sample = self._site.post(f"/audits/{audit}/sample", numbers)
        return found

    def sample(self, audit: int) -> doc.Sample:
        found: doc.Sample = self._site.get(f"/audits/{audit}/sample")
        return found

    def sampled_items(self, audit: int) -> Iterator[doc.SampledItem]:
        return self._site.each(f"/audits/{audit}/sample/items")

    # Judging

    def claim(self, audit: int, *, mode: doc.Mode = "full") -> doc.Claimed:
        """Claim up to ten items to judge."""
        found: doc.Claimed = self._site.post(f"/audits/{audit}/review/claim", {"mode": mode})
        return found

    def image(self, item: int) -> bytes:
        """An item's whole picture."""
        return b"".join(self._site.read(f"/items/{item}/image"))

    def thumb(self, item: int) -> bytes:
        """A small version of an item's picture."""
        return b"".join(self._site.read(f"/items/{item}/thumb"))

    def class_cards(self, audit: int) -> list[dict[str, Any]]:
        """Every class that can be named, with clear examples."""
        found: list[dict[str, Any]] = self._site.get(f"/audits/{audit}/review/classes")["classes"]
        return found

    def judge(
        self,
        audit: int,
        ticket: str,
        *,
        milliseconds: int,
        labels: Sequence[int] | None = None,
        key: str = "",
        **said: Any,
    ) -> str:
        """Give a verdict on a claimed item and return its key.

        `labels`: the classes that hold, the main one first. `said`: verdict, note, source, ..
        """
        key = key or str(uuid.uuid4())
        named = None if labels is None else list(labels)
        body = {"ticket": ticket, "labels": named, "milliseconds": milliseconds, **said}
        self._site.post(f"/audits/{audit}/review/judgments", body, key=key)
        return key

    def judgments(self, audit: int) -> Iterator[doc.Judgment]:
        """The person's own verdicts that stand."""
        return self._site.each(f"/audits/{audit}/review/judgments")

    def judgment(self, audit: int, key: str) -> doc.Judgment:
        found: doc.Judgment = self._site.get(f"/audits/{audit}/review/judgments/{key}")
        return found

    def revise(self, audit: int, key: str, *, milliseconds: int, **said: Any) -> str:
        """Replace a verdict of the person's own by another one, and return the new one's key."""
        new_key = str(uuid.uuid4())
        body = {"milliseconds": milliseconds, **said}
        self._site.change("PUT", f"/audits/{audit}/review/judgments/{key}", body, key=new_key)
        return new_key

    def undo(self, audit: int, key: str) -> doc.TakenBack:
        """Take a verdict back; the item is the person's again, by the ticket returned."""
        path = f"/audits/{audit}/review/judgments/{key}/undo"
        found: doc.TakenBack = self._site.post(path, key=str(uuid.uuid4()))
        return found

    def keep(self, audit: int) -> doc.Held:
        """Keep the claimed items for longer."""
        found: doc.Held = self._site.post(f"/audits/{audit}/review/heartbeat")
        return found

    def hand_back(self, audit: int, slots: Sequence[int]) -> int:
        """Give claimed items back, and return how many."""
        body = {"slots": list(slots)}
        return int(self._site.post(f"/audits/{audit}/review/hand-back", body)["opened"])

    def reveal(self, audit: int, key: str) -> dict[str, Any]:
        """Label, experts and flags of an item that the person has judged; it is remembered."""
        path = f"/audits/{audit}/review/judgments/{key}/reveal"
        found: dict[str, Any] = self._site.post(path)
        return found

    def refer(self, audit: int, slot: int, *, is_open: bool = True, note: str = "") -> bool:
        """Flag a claimed item for adjudication, or take the flag back; whether it is flagged."""
        body = {"slot": slot, "is_open": is_open, "note": note}
        return bool(self._site.post(f"/audits/{audit}/review/refer", body)["is_open"])

    # Results

    def report(self, audit: int, **wanted: Any) -> doc.Report:
        """Every method's precision and detection rate; `wanted`: truth, policy, methods, .."""
        found: doc.Report = self._site.get(f"/audits/{audit}/report", **wanted)
        return found

    def comparison(self, audit: int, **wanted: Any) -> doc.Comparison:
        found: doc.Comparison = self._site.get(f"/audits/{audit}/comparison", **wanted)
        return found

    def agreement(self, audit: int, **wanted: Any) -> doc.Agreement:
        found: doc.Agreement = self._site.get(f"/audits/{audit}/agreement", **wanted)
        return found

    def calibrations(self, audit: int) -> doc.Calibrations:
        found: doc.Calibrations = self._site.get(f"/audits/{audit}/calibrations")
        return found

    def verify_judgments(self, audit: int) -> doc.Proof:
        found: doc.Proof = self._site.get(f"/audits/{audit}/verify")
        return found

    def measurements(self, audit: int, *, kind: str | None = None) -> Iterator[doc.MeasurementRow]:
        return self._site.each(f"/audits/{audit}/measurements", kind=kind)

    def measurement(self, measurement: int) -> doc.Measurement:
        found: doc.Measurement = self._site.get(f"/measurements/{measurement}")
        return found

    def cancel_measurement(self, measurement: int) -> doc.WorkChanged:
        found: doc.WorkChanged = self._site.post(f"/measurements/{measurement}/cancel")
        return found

    def resume_measurement(self, measurement: int) -> doc.WorkChanged:
        found: doc.WorkChanged = self._site.post(f"/measurements/{measurement}/resume")
        return found

    def measure_calibrators(self, audit: int) -> doc.Measurement:
        found: doc.Measurement = self._site.post(f"/audits/{audit}/calibrators")
        return found

    def measure_cascade(self, audit: int, small: str, large: str, **order: Any) -> doc.Measurement:
        body = {"small": small, "large": large, **order}
        found: doc.Measurement = self._site.post(f"/audits/{audit}/cascades", body)
        return found

    def measure_second_pass(self, audit: int, labels: str, **order: Any) -> doc.Measurement:
        body = {"labels": labels, **order}
        found: doc.Measurement = self._site.post(f"/audits/{audit}/second-passes", body)
        return found

    # Adjudication

    def disputes(self, audit: int) -> list[doc.Dispute]:
        found: list[doc.Dispute] = self._site.get(f"/audits/{audit}/adjudication")["items"]
        return found

    def case(self, audit: int, item: int) -> doc.Case:
        found: doc.Case = self._site.get(f"/audits/{audit}/adjudication/{item}")
        return found

    def decide(
        self, audit: int, case: doc.Case, verdict: str, reason: str, **said: Any
    ) -> doc.Decision:
        """Decide an item on what the case file shows; refused if that has changed meanwhile."""
        body = {"verdict": verdict, "reason": reason, "seen": case["seen"], **said}
        path = f"/audits/{audit}/adjudication/{case['item']}"
        found: doc.Decision = self._site.post(path, body)
        return found

    # Releases

    def releases(self, audit: int) -> Iterator[doc.Release]:
        return self._site.each(f"/audits/{audit}/releases")

    def order_release(self, audit: int, *, key: str = "", **order: Any) -> doc.Release:
        """Have a release built; `order`: policy, formats."""
        found: doc.Release = self._make(f"/audits/{audit}/releases", order, key)
        return found

    def cancel_release(self, release: int) -> doc.WorkChanged:
        found: doc.WorkChanged = self._site.post(f"/releases/{release}/cancel")
        return found

    def resume_release(self, release: int) -> doc.WorkChanged:
        """Have a cancelled or failed release built, of what was decided when it was ordered."""
        found: doc.WorkChanged = self._site.post(f"/releases/{release}/resume")
        return found

    def release(self, release: int) -> doc.Release:
        found: doc.Release = self._site.get(f"/releases/{release}")
        return found

    def wait_for_release(self, release: int, *, seconds: float = 86_400) -> doc.Release:
        """Return a release once its files are there; `StoppedError` if it ended otherwise."""
        end = time.monotonic() + seconds
        while True:
            found = self.release(release)
            if found["work"] == "done":
                return found
            if found["work"] in {"failed", "cancelled"}:
                raise StoppedError(f"release {release} is {found['work']}: {found['error']}")
            _rest(end, f"release {release} is still {found['work']}")

    def compare_releases(self, audit: int, before: int, after: int) -> dict[str, Any]:
        """The items that two releases, by their numbers, give other labels."""
        path = f"/audits/{audit}/releases/diff"
        found: dict[str, Any] = self._site.get(path, before=before, after=after)
        return found

    def verify_release(self, release: int) -> doc.Verified:
        found: doc.Verified = self._site.get(f"/releases/{release}/verify")
        return found

    def download_file(self, release: int, name: str, target: Path) -> None:
        """Write one file of a release; what is there of it already isn't fetched again."""
        self._download(f"/releases/{release}/files/{name}", target)

    def download_release(self, release: int, target: Path) -> None:
        """Write all files of a release as one tar archive, going on where an earlier try ended."""
        self._download(f"/releases/{release}/archive", target)

    def _download(self, path: str, target: Path) -> None:
        tag, size = self._site.tag_of(path)
        # Named by its content: the beginning of another release is never gone on with.
        named = tag.strip('"')[:16]
        part = target.with_name(f"{target.name}.{named}.part")
        start = part.stat().st_size if part.exists() else 0
        if start < size:
            with part.open("ab") as file:
                for block in self._site.read(path, start, tag):
                    file.write(block)
        part.replace(target)

    # Policies

    def policies(self, project: int) -> list[str]:
        found: list[str] = self._site.get(f"/projects/{project}/policies")["policies"]
        return found

    def policy(self, project: int, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self._site.get(f"/projects/{project}/policies/{name}")
        return found

    def save_policy(self, project: int, name: str, definition: dict[str, Any]) -> dict[str, Any]:
        path = f"/projects/{project}/policies/{name}"
        found: dict[str, Any] = self._site.change("PUT", path, definition).json()
        return found

    def _make(self, path: str, body: Any, key: str) -> Any:
        return self._site.post(path, body, key=key or str(uuid.uuid4()))


def _rest(end: float, state: str) -> None:
    if time.monotonic() >= end:
        raise StoppedError(state)
    time.sleep(POLL_SECONDS)
