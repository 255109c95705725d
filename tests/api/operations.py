"""Every operation of the API: what a token needs for it, the least role, and a body that is whole.

The one list of them: an operation that isn't here fails the tests of access.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.urls import URLPattern, get_resolver

from audit.models import Role

PUBLIC = {"openapi", "api_reference"}


@dataclass(frozen=True)
class Call:
    """How to call one operation. `role` is the least that finds it; `body` is one it takes."""

    method: str
    path: str
    scope: str
    role: Role | None = None  # None: whoever has a token, about themselves
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    query: str = ""
    is_own: bool = False  # nobody else finds it, whatever their role


ANNOTATOR, MAINTAINER, ADMIN = Role.ANNOTATOR, Role.MAINTAINER, Role.ADMIN
KEY = {"Idempotency-Key": "3f2504e0-4f89-41d3-9a0c-0305e82c3301"}
DATASET, AUDIT = "/datasets/{dataset}", "/audits/{audit}"
DESK = f"{AUDIT}/review"
IMPORT = "/imports/{number}"
MEASUREMENT = "/measurements/{measurement}"
JUDGMENT = f"{DESK}/judgments/{{key}}"
RELEASE = "/releases/{release}"
PROJECT = "/projects/{project}"
POLICY = {"undecided": "keep"}
SAID = {"labels": [0], "milliseconds": 1200}
OPERATIONS = {
    "read_me": Call("GET", "/me", "read"),
    "list_projects": Call("GET", "/projects", "read"),
    "read_project": Call("GET", "/projects/{project}", "read", ANNOTATOR),
    "list_members": Call("GET", "/projects/{project}/members", "read", ADMIN),
    "list_imports": Call("GET", f"{PROJECT}/imports", "read", MAINTAINER),
    "create_import": Call(
        "POST",
        f"{PROJECT}/imports",
        "manage",
        MAINTAINER,
        {"slug": "new", "format": "manifest", "path": "labels.csv"},
    ),
    "read_import": Call("GET", IMPORT, "read", MAINTAINER),
    "stop_import": Call("POST", f"{IMPORT}/cancel", "manage", MAINTAINER),
    "continue_import": Call("POST", f"{IMPORT}/resume", "manage", MAINTAINER),
    "import_scores": Call(
        "POST",
        f"{DATASET}/scores/imports",
        "manage",
        MAINTAINER,
        {"expert": "saved", "path": "scores.npy"},
    ),
    "list_sources": Call("GET", f"{DATASET}/votes", "read", MAINTAINER),
    "import_votes": Call(
        "POST",
        f"{DATASET}/votes/imports",
        "manage",
        MAINTAINER,
        {"source": "crowd", "path": "votes.csv"},
    ),
    "list_datasets": Call("GET", "/datasets", "read"),
    "read_dataset": Call("GET", DATASET, "read", MAINTAINER),
    "list_classes": Call("GET", f"{DATASET}/classes", "read", MAINTAINER),
    "list_items": Call("GET", f"{DATASET}/items", "read", MAINTAINER),
    "list_scores": Call("GET", f"{DATASET}/scores", "read", MAINTAINER),
    "order_scores": Call("POST", f"{DATASET}/scores", "manage", MAINTAINER, {"expert": "stub:3-5"}),
    "read_scores": Call("GET", "/scores/{scores}", "read", MAINTAINER),
    "read_image": Call("GET", "/items/{item}/image", "judge", ANNOTATOR),
    "read_thumb": Call("GET", "/items/{item}/thumb", "judge", ANNOTATOR),
    "list_audits": Call("GET", "/audits", "read"),
    "create_audit": Call(
        "POST", f"{DATASET}/audits", "manage", MAINTAINER, {"experts": ["stub:3-0", "stub:3-7"]}
    ),
    "read_audit": Call("GET", AUDIT, "read", MAINTAINER),
    "stop_audit": Call("POST", f"{AUDIT}/cancel", "manage", MAINTAINER),
    "continue_audit": Call("POST", f"{AUDIT}/resume", "manage", MAINTAINER),
    "hurry_audit": Call("POST", f"{AUDIT}/urgent", "manage", MAINTAINER, {"urgent": False}),
    "list_queue": Call("GET", f"{AUDIT}/queue", "read", MAINTAINER),
    "plan_sample": Call(
        "POST", f"{AUDIT}/sample/plan", "read", MAINTAINER, {"size": 3, "unflagged": 2}
    ),
    "draw_sample": Call(
        "POST", f"{AUDIT}/sample", "manage", MAINTAINER, {"size": 3, "unflagged": 2}
    ),
    "read_sample": Call("GET", f"{AUDIT}/sample", "read", MAINTAINER),
    "list_sampled": Call("GET", f"{AUDIT}/sample/items", "read", MAINTAINER),
    "claim_items": Call("POST", f"{DESK}/claim", "judge", ANNOTATOR, {}),
    "create_judgment": Call(
        "POST", f"{DESK}/judgments", "judge", ANNOTATOR, SAID | {"ticket": "none"}, KEY
    ),
    "list_judgments": Call("GET", f"{DESK}/judgments", "judge", ANNOTATOR),
    "read_judgment": Call("GET", JUDGMENT, "judge", ANNOTATOR, is_own=True),
    "revise_judgment": Call("PUT", JUDGMENT, "judge", ANNOTATOR, SAID, KEY, is_own=True),
    "undo_judgment": Call("POST", f"{JUDGMENT}/undo", "judge", ANNOTATOR, None, KEY, is_own=True),
    "reveal_item": Call("POST", f"{JUDGMENT}/reveal", "judge", ANNOTATOR, is_own=True),
    "keep_items": Call("POST", f"{DESK}/heartbeat", "judge", ANNOTATOR),
    "hand_back_items": Call("POST", f"{DESK}/hand-back", "judge", ANNOTATOR, {"slots": [1]}),
    "refer": Call("POST", f"{DESK}/refer", "judge", ANNOTATOR, {"slot": 1}, is_own=True),
    "read_report": Call("GET", f"{AUDIT}/report", "read", MAINTAINER),
    "compare_methods": Call("GET", f"{AUDIT}/comparison", "read", MAINTAINER),
    "read_agreement": Call("GET", f"{AUDIT}/agreement", "read", MAINTAINER),
    "verify_judgments": Call("GET", f"{AUDIT}/verify", "read", MAINTAINER),
    "read_calibrations": Call("GET", f"{AUDIT}/calibrations", "read", MAINTAINER),
    "list_measurements": Call("GET", f"{AUDIT}/measurements", "read", MAINTAINER),
    "read_measurement": Call("GET", MEASUREMENT, "read", MAINTAINER),
    "stop_measurement": Call("POST", f"{MEASUREMENT}/cancel", "manage", MAINTAINER),
    "continue_measurement": Call("POST", f"{MEASUREMENT}/resume", "manage", MAINTAINER),
    "measure_calibrators": Call("POST", f"{AUDIT}/calibrators", "manage", MAINTAINER),
    "measure_cascade": Call(
        "POST",
        f"{AUDIT}/cascades",
        "manage",
        MAINTAINER,
        {"small": "stub:3-0", "large": "stub:3-1"},
    ),
    "measure_second_pass": Call(
        "POST", f"{AUDIT}/second-passes", "manage", MAINTAINER, {"labels": "cleaned:1"}
    ),
    "list_people": Call("GET", f"{PROJECT}/people", "read", ADMIN),
    "list_project_policies": Call("GET", f"{PROJECT}/policies", "read", MAINTAINER),
    "read_policy": Call("GET", f"{PROJECT}/policies/{{policy}}", "read", MAINTAINER),
    "store_policy": Call("PUT", f"{PROJECT}/policies/{{policy}}", "manage", MAINTAINER, POLICY),
    "list_disputes": Call("GET", f"{AUDIT}/adjudication", "read", MAINTAINER),
    "read_case": Call("GET", f"{AUDIT}/adjudication/{{item}}", "read", MAINTAINER),
    "decide": Call(
        "POST",
        f"{AUDIT}/adjudication/{{item}}",
        "manage",
        MAINTAINER,
        {"verdict": "unsure", "reason": "x", "seen": {"adjudication": 0, "judgment": 0}},
    ),
    "list_releases": Call("GET", f"{AUDIT}/releases", "release", MAINTAINER),
    "create_release": Call("POST", f"{AUDIT}/releases", "release", MAINTAINER, {}),
    "compare_releases": Call(
        "GET", f"{AUDIT}/releases/diff", "release", MAINTAINER, query="before=1&after=1"
    ),
    "read_release": Call("GET", RELEASE, "release", MAINTAINER),
    "stop_release": Call("POST", f"{RELEASE}/cancel", "release", MAINTAINER),
    "continue_release": Call("POST", f"{RELEASE}/resume", "release", MAINTAINER),
    "verify_release": Call("GET", f"{RELEASE}/verify", "release", MAINTAINER),
    "read_archive": Call("GET", f"{RELEASE}/archive", "release", MAINTAINER),
    "read_file": Call("GET", f"{RELEASE}/files/{{name}}", "release", MAINTAINER),
    "list_cards": Call("GET", f"{DESK}/classes", "judge", ANNOTATOR),
}


def registered() -> Iterator[tuple[str, str, str, str]]:
    """Yield the id, method, path and scope of every operation that an address leads to."""
    api = get_resolver("audit.config.api_urls").url_patterns[0]
    for pattern in api.url_patterns:
        assert isinstance(pattern, URLPattern)
        if pattern.name in PUBLIC:
            continue
        view = pattern.callback.__closure__[0].cell_contents
        for operation in view.operations:
            (auth,) = operation.auth_callbacks
            path = "/" + operation.path.lstrip("/")
            for method in operation.methods:
                yield operation.operation_id, method, path.replace("{path:", "{"), auth.scope.value
