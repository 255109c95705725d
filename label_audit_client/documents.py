"""What the API answers with, by name. A document may hold more than what is named here."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

AuditState = Literal["scoring", "calibrating", "ready", "failed", "cancelled"]
ScoresState = Literal["scoring", "ready", "failed", "cancelled"]
Work = Literal["pending", "running", "done", "failed", "cancelled"]
Mode = Literal["full", "quick"]


class Token(TypedDict):
    """The token that the client sends, without its secret."""

    name: str
    prefix: str
    scopes: list[str]
    project: int | None
    expires_at: str


class Me(TypedDict):
    """Whose token it is."""

    username: str
    token: Token


class Project(TypedDict):
    """A project, and the role of the token's person in it."""

    id: int
    slug: str
    name: str
    role: str


class Member(TypedDict):
    """One person's role in a project."""

    username: str
    role: str
    is_active: bool


class Dataset(TypedDict):
    """A labelled data set."""

    id: int
    project: int
    slug: str
    kind: Literal["image", "multiple_choice", "task"]
    format: str
    items: int
    classes: int
    quarantined: int
    notice: str
    sha256: str
    created_at: str


class DatasetClass(TypedDict):
    """One class, by the index that labels are."""

    index: int
    name: str
    wordnet_id: str
    gloss: str


class Quarantine(TypedDict):
    """Why an item takes no part."""

    code: str
    detail: str


class Item(TypedDict):
    """One item with the label that it was published with."""

    id: int
    position: int
    key: str
    given_label: int | None
    sha256: str
    subject: str
    question: str
    choices: list[str]
    width: int
    height: int
    notices: list[str]
    quarantine: Quarantine | None


class Refusal(TypedDict):
    """The first thing that is wrong with a file, and where."""

    code: str
    row: int | None
    col: str | None


class Import(TypedDict):
    """How far an import is, and at the end what came of it, or the refusal."""

    id: int
    project: int
    kind: Literal["dataset", "scores", "votes"]
    name: str
    format: str
    work: Work
    done: int
    items: int
    dataset: int | None
    scores: int | None
    found: dict[str, Any]
    error: str
    refusal: Refusal | None
    created_at: str


class WorkChanged(TypedDict):
    """Whether there was anything to stop or to take up, and how far the work is now."""

    changed: bool
    work: Work


class VoteSource(TypedDict):
    """Outside votes on a data set; a report takes them as the truth `votes:NAME`."""

    id: int
    dataset: int
    name: str
    kind: Literal["imported", "judge"]
    votes: int
    items: int
    knows_annotators: bool
    sha256: str
    created_at: str


class Scores(TypedDict):
    """How far an expert's scores of a data set are."""

    id: int
    dataset: int
    expert: str
    source: str
    state: ScoresState
    sha256: str
    done: int
    total: int


class AuditRow(TypedDict):
    """An audit in a list."""

    id: int
    dataset: int
    state: AuditState
    disputed: int | None


class Audit(TypedDict):
    """An audit: how far it is, and at the end its figures."""

    audit: int
    state: AuditState
    items: int
    quarantined: int
    disputed: int | None
    experts: list[dict[str, Any]]
    queues: dict[str, int | list[int]]
    progress: list[dict[str, Any]]
    error: str


class Changed(TypedDict):
    """Whether there was anything to change, and the state that it is in now."""

    changed: bool
    state: AuditState


class Flag(TypedDict):
    """One item that a method calls suspect."""

    rank: int
    item: int
    key: str
    given_label: int
    proposed_label: int
    score: float
    bin: int | None
    experts_agree: bool


class Stratum(TypedDict):
    """A group of items that are drawn with one probability."""

    name: str
    flagged: bool
    population: int
    drawn: int
    inclusion_probability: float
    votes_per_item: int


class Sample(TypedDict):
    """The sampling ledger, and how many of its votes are in."""

    audit: int
    items: int
    votes: int
    votes_per_item: int
    revealed_share: float
    seed: int
    drawn_at: str
    frozen: bool
    strata: list[Stratum]
    judged: int


class SampledItem(TypedDict):
    """One drawn item with its stratum."""

    id: int
    order: int
    item: int
    key: str
    stratum: str
    inclusion_probability: float
    votes_per_item: int


class ClaimedItem(TypedDict):
    """An item to judge. A picture has `candidates`; a question has `question` and `choices`."""

    slot: int
    item: int
    ticket: str
    mode: Mode
    is_training: bool
    candidates: NotRequired[list[dict[str, Any]]]
    image: NotRequired[str]
    thumb: NotRequired[str]
    question: NotRequired[str]
    choices: NotRequired[list[str]]
    given: NotRequired[dict[str, Any]]
    told: NotRequired[dict[str, Any]]


class Claimed(TypedDict):
    """The items that are the person's now, and for how long without a sign of life."""

    items: list[ClaimedItem]
    elsewhere: int
    lease_seconds: int


class Judgment(TypedDict):
    """One of the person's own verdicts."""

    key: str
    slot: int
    item: int
    verdict: str
    labels: list[int] | None
    corrected_label: int | None
    severity: int | None
    note: str
    source: str
    has_derivation: bool
    mode: Mode
    stage: Literal["blind", "revealed", "after"]
    decided_at: str
    stands: bool


class TakenBack(TypedDict):
    """The item is the person's again, by this ticket."""

    slot: int
    ticket: str
    replayed: bool


class Held(TypedDict):
    """Which slots are still the person's, and how many of all are judged."""

    held: list[int]
    judged: int


class Report(TypedDict):
    """Every method's precision and detection rate."""

    audit: int
    truth: str
    policy: str
    judged: int
    methods: dict[str, dict[str, Any]]
    overlap: list[dict[str, Any]]
    agreement: dict[str, Any]


class Comparison(TypedDict):
    """Which method to trust, in one sentence, and the figures behind it."""

    truth: str
    policy: str
    headline: dict[str, Any]
    overlap: list[dict[str, Any]]
    equal_detection: list[dict[str, Any]]


class Agreement(TypedDict):
    """How far people agree with each other and with what is known."""

    policy: str
    annotators: int
    votes: int
    coefficients: list[dict[str, Any]]
    pairs: list[dict[str, Any]]


class Calibrations(TypedDict):
    """Each expert's calibration."""

    audit: int
    experts: list[dict[str, Any]]


class MeasurementRow(TypedDict):
    """A set of figures that a worker makes, without them."""

    id: int
    audit: int
    kind: Literal["calibrators", "cascade", "second_pass"]
    number: int
    work: Work
    done: int
    steps: int
    error: str
    created_at: str


class Measurement(MeasurementRow):
    """A set of figures: empty until they are made."""

    order: dict[str, Any]
    document: dict[str, Any]


class Proof(TypedDict):
    """Whether the chain over all verdicts holds."""

    intact: bool
    audits: list[dict[str, Any]]


class Answer(TypedDict):
    """What a vote says: a verdict and the classes that hold by it."""

    verdict: str
    labels: list[int]


class Dispute(TypedDict):
    """An item that waits for a decision, and why."""

    item: int
    key: str
    answers: list[Answer]
    flags: int
    awaits_vote: bool


class Seen(TypedDict):
    """What a decision rests on."""

    adjudication: int
    judgment: int


class Version(TypedDict):
    """One version of somebody's verdict."""

    verdict: str
    corrected: int | None
    ticked: list[int]
    note: str
    sight: str
    decided_at: str


class Vote(TypedDict):
    """One person's vote, and what they said before."""

    annotator: str
    standing: Version
    earlier: list[Version]


class Case(TypedDict):
    """Everything about one item."""

    item: int
    key: str
    given_label: int
    told: dict[str, Any]
    votes: list[Vote]
    decisions: list[Decision]
    seen: Seen


class Decision(TypedDict):
    """A reasoned decision that somebody made."""

    id: int
    adjudicator: str
    verdict: str
    labels: list[int] | None
    corrected_label: int | None
    reason: str
    decided_at: str


class Release(TypedDict):
    """How far a build of cleaned label files is."""

    id: int
    audit: int
    number: int
    policy: str
    policy_version: int
    formats: list[str]
    work: Work
    written: int
    error: str
    last_judgment: int
    last_adjudication: int
    created_at: str
    sha256: str | None
    files: dict[str, dict[str, Any]]


class Verified(TypedDict):
    """Whether every byte is as it was written."""

    intact: bool
    problems: list[str]
