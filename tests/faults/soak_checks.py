"""The invariants that hold after every fault, checked for several audits and everything said."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.faults.installation import Installation
from tests.faults.scene import UNHANDLED
from tests.faults.soak_people import Said


@dataclass(frozen=True, slots=True)
class Golden:
    """Undisturbed results: each audit's hash in order; logits by data set and expert."""

    hashes: list[str]
    logits: dict[str, NDArray[Any]]


def golden_of(made: Installation) -> Golden:
    """Return the results that an installation holds."""
    hashes = [sha for (sha,) in made.query("SELECT sha256 FROM audit_audit ORDER BY id")]
    ready = made.query(
        "SELECT s.id, d.slug, s.expert FROM audit_scoreset s JOIN audit_dataset d "
        "ON d.id = s.dataset_id WHERE s.state = 'ready'"
    )
    logits = {f"{slug} {name}": read_logits(made, pk) for pk, slug, name in ready}
    return Golden(hashes, logits)


def read_logits(made: Installation, score_set: int) -> NDArray[Any]:
    """Return a score set's logits as they lie on the disk."""
    folder = made.home / "scores" / str(score_set)
    shards = json.loads((folder / "manifest.json").read_text())["shards"]
    ordered = sorted(shards, key=lambda shard: int(shard["start"]))
    return np.concatenate([np.load(folder / shard["name"]) for shard in ordered])


def check_invariants(made: Installation, golden: Golden, said: Said) -> None:
    """Assert I1 to I3 and I6 to I8; I4 and I5 are times, which the soak waited for."""
    check_every_item_once(made)
    check_results(made, golden)
    check_verdicts(made, said)
    check_nothing_left_over(made)
    made.run("verify_judgments")
    made.run("verify_installation")
    check_logs(made)


def check_every_item_once(made: Installation) -> None:
    """I1: chunks cover each expert's items once, all done, and no item was given up."""
    chunks = made.query(
        "SELECT c.score_set_id, d.n_items, c.start, c.stop, c.work FROM audit_chunk c "
        "JOIN audit_scoreset s ON s.id = c.score_set_id JOIN audit_dataset d ON d.id = s.dataset_id"
        " ORDER BY 1, 3"
    )
    ends: dict[tuple[int, int], int] = {}
    for score_set, n_items, start, stop, work in chunks:
        assert (ends.get((score_set, n_items), 0), "done") == (start, work), chunks
        ends[score_set, n_items] = stop
    assert all(end == n_items for (_, n_items), end in ends.items()), ends
    given_up = made.query("SELECT item_id, code, detail FROM audit_unscorableitem")
    assert given_up == [], given_up


def check_results(made: Installation, golden: Golden) -> None:
    """I2: hashes and logits are, bit for bit, those of a run that nothing disturbed."""
    found = golden_of(made)
    assert found.hashes == golden.hashes
    assert found.logits.keys() == golden.logits.keys()
    for name, logits in golden.logits.items():
        np.testing.assert_array_equal(found.logits[name], logits)


def check_verdicts(made: Installation, said: Said) -> None:
    """I3: what was acknowledged is stored, once; nothing is stored that nobody sent."""
    assert said.errors == [], said.errors[:5]
    stored = Counter(
        str(key).replace("-", "")
        for (key,) in made.query("SELECT idempotency_key FROM reviews_judgment")
    )
    assert set(stored.values()) <= {1}
    acknowledged = {key.replace("-", "") for key in said.acknowledged}
    assert len(acknowledged) == len(said.acknowledged)
    assert acknowledged <= stored.keys(), acknowledged - stored.keys()
    assert stored.keys() <= {key.replace("-", "") for key in said.sent}


def check_nothing_left_over(made: Installation) -> None:
    """I6: the scores' folder holds what manifests list; no half-written file lies anywhere."""
    folder = made.home / "scores"
    listed = {
        manifest.parent / name
        for manifest in folder.glob("*/manifest.json")
        for name in (
            "manifest.json",
            *(s["name"] for s in json.loads(manifest.read_text())["shards"]),
        )
    }
    found = {path for path in folder.rglob("*") if path.is_file()}
    assert found == listed, found ^ listed
    halves = [path for path in made.home.rglob("*") if ".tmp" in path.name]
    assert halves == []


def check_logs(made: Installation) -> None:
    """I8: no exception that nobody handled, and no page that answered 500."""
    for name in ("worker.log", "web.log"):
        lines = (made.home / name).read_text(errors="replace").splitlines()
        unhandled = [line for line in lines if UNHANDLED.match(line)]
        assert not unhandled, unhandled[:5]
