"""Policies as data: which verdicts are errors, how many votes decide, what becomes of an item.

One definition of an error serves curves and releases: a verdict that the policy acts on. What it
leaves alone (``keep``) is no error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, TypeAlias

from reviews.models import Policy, QuestionVerdict, StoredPolicy, Verdict

MOST_VOTES = 99
POLICY_HELP = (
    "lenient, strict, custom:CATEGORY,CATEGORY (what counts as an error), or the name of a stored "
    "policy of the project."
)
CUSTOM = "custom:"
"""Starts the name of a policy that is given by the categories it counts."""


class Deed(StrEnum):
    """What a policy does about a verdict."""

    RELABEL = "relabel"
    ADD = "add"
    EXCLUDE = "exclude"
    KEEP = "keep"


class Open(StrEnum):
    """What becomes of an item whose votes don't decide."""

    KEEP = "keep"
    EXCLUDE = "exclude"
    MARK = "mark"


CATEGORIES = (
    *(Verdict.WRONG_LABEL, Verdict.MULTI_OBJECT, Verdict.SIMILAR_CLASS),
    *(Verdict.SUB_CLASS, Verdict.SUPER_CLASS),
)
QUESTION_CATEGORIES = (
    *(QuestionVerdict.WRONG_GROUND_TRUTH, QuestionVerdict.MULTIPLE_CORRECT),
    *(QuestionVerdict.NO_CORRECT, QuestionVerdict.BAD_QUESTION_CLARITY),
    QuestionVerdict.BAD_OPTIONS_CLARITY,
)
LENIENT_DEEDS = {
    Verdict.WRONG_LABEL.value: Deed.RELABEL,
    Verdict.MULTI_OBJECT.value: Deed.ADD,
    Verdict.SIMILAR_CLASS.value: Deed.RELABEL,
    Verdict.SUB_CLASS.value: Deed.RELABEL,
    Verdict.SUPER_CLASS.value: Deed.RELABEL,
    QuestionVerdict.WRONG_GROUND_TRUTH.value: Deed.RELABEL,
    QuestionVerdict.MULTIPLE_CORRECT.value: Deed.ADD,
    QuestionVerdict.NO_CORRECT.value: Deed.EXCLUDE,
    QuestionVerdict.BAD_QUESTION_CLARITY.value: Deed.EXCLUDE,
    QuestionVerdict.BAD_OPTIONS_CLARITY.value: Deed.EXCLUDE,
}
STRICT_DEEDS = {
    verdict: deed
    if verdict in {Verdict.WRONG_LABEL, QuestionVerdict.WRONG_GROUND_TRUTH}
    else Deed.KEEP
    for verdict, deed in LENIENT_DEEDS.items()
}


class PolicyError(ValueError):
    """There is no such policy, or it can't be one; the message says why."""


@dataclass(frozen=True, slots=True)
class ReleasePolicy:
    """How votes become labels.

    ``deeds``: what is done about each category of error. ``needed`` of ``asked`` votes make an
    error; without them more than half of the votes that are sure decide. ``without_class``: what
    happens to an item to relabel on whose class its votes don't agree. ``adjudicated_first``:
    where an adjudicator has decided, nobody else's vote counts. ``errors``: the verdicts that
    call a label an error.
    """

    name: str
    version: int = 1
    deeds: Mapping[str, Deed] = field(default_factory=lambda: LENIENT_DEEDS)
    needed: int | None = None
    asked: int | None = None
    undecided: Open = Open.KEEP
    without_class: Deed = Deed.EXCLUDE
    adjudicated_first: bool = True
    errors: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        acted_on = {verdict for verdict, deed in self.deeds.items() if deed is not Deed.KEEP}
        object.__setattr__(self, "errors", frozenset(acted_on))

    def __str__(self) -> str:
        return self.name

    @property
    def of_one(self) -> ReleasePolicy:
        """The policy where one person decides alone, however many votes it asks for else."""
        return replace(self, needed=None, asked=None)

    def is_error(self, verdict: str) -> bool | None:
        """Return whether the verdict calls the label an error; None when it is unsure."""
        return None if verdict == Verdict.UNSURE else verdict in self.errors

    def settle(self, calls: Iterable[bool | None]) -> bool | None:
        """Return what the votes on one item come to; None while they don't decide.

        By k of n an item is settled once k votes call it an error, or once so many call it right
        that of n votes k can't any more.
        """
        sure = [call for call in calls if call is not None]
        n_errors = sum(sure)
        n_right = len(sure) - n_errors
        if self.needed is None or self.asked is None:
            return None if n_errors == n_right else n_errors > n_right
        if n_errors >= self.needed:
            return True
        return False if n_right > self.asked - self.needed else None

    def describe(self) -> dict[str, Any]:
        """Return the policy as JSON; ``read_policy`` takes it back."""
        return {
            "deeds": {verdict: deed.value for verdict, deed in sorted(self.deeds.items())},
            "needed": self.needed,
            "asked": self.asked,
            "undecided": self.undecided.value,
            "without_class": self.without_class.value,
            "adjudicated_first": self.adjudicated_first,
        }


AnyPolicy: TypeAlias = str | ReleasePolicy
"""A policy, or the name of one."""

BUILT_IN = {
    Policy.LENIENT.value: ReleasePolicy(Policy.LENIENT.value),
    Policy.STRICT.value: ReleasePolicy(Policy.STRICT.value, deeds=STRICT_DEEDS),
}


def read_policy(name: str, version: int, document: Any) -> ReleasePolicy:
    """Return the policy that a JSON document describes; deeds not named are lenient's."""
    if not isinstance(document, dict):
        raise PolicyError("a policy is a JSON object")
    known = BUILT_IN[Policy.LENIENT].describe()
    if unknown := sorted(document.keys() - known.keys()):
        raise PolicyError(f"{unknown[0]!r} is not part of a policy; there are: {', '.join(known)}")
    said = known | document
    needed, asked = (_read_count(name, said[name]) for name in ("needed", "asked"))
    if (needed is None) != (asked is None) or (needed and asked and needed > asked):
        raise PolicyError(f"{needed} of {asked} votes: give both, the first at most the second")
    if not isinstance(said["adjudicated_first"], bool):
        raise PolicyError("adjudicated_first is true or false")
    return ReleasePolicy(
        name=name,
        version=version,
        deeds=_read_deeds(said["deeds"]),
        needed=needed,
        asked=asked,
        undecided=_read_word("undecided", said["undecided"], Open),
        without_class=_read_word("without_class", said["without_class"], Deed, Deed.KEEP),
        adjudicated_first=said["adjudicated_first"],
    )


def _read_deeds(said: Any) -> dict[str, Deed]:
    if not isinstance(said, dict):
        raise PolicyError("deeds is an object: what is done about each verdict")
    if unknown := sorted(said.keys() - LENIENT_DEEDS.keys()):
        known = ", ".join(LENIENT_DEEDS)
        raise PolicyError(f"{unknown[0]!r} is not a category of error; there are: {known}")
    return {
        verdict: _read_word(verdict, said.get(verdict, deed), Deed)
        for verdict, deed in LENIENT_DEEDS.items()
    }


def _read_word(name: str, said: Any, words: Any, *only: Any) -> Any:
    allowed = [word.value for word in (only and (Deed.EXCLUDE, *only)) or words]
    if said not in allowed:
        raise PolicyError(f"{name} is one of {', '.join(allowed)}, not {said!r}")
    return words(said)


def _read_count(name: str, said: Any) -> int | None:
    if said is None:
        return None
    if type(said) is not int or not 1 <= said <= MOST_VOTES:
        raise PolicyError(f"{name} is a number of votes from 1 to {MOST_VOTES}, not {said!r}")
    return said


def name_custom(categories: Iterable[str]) -> str:
    """Return the name of the policy that counts these categories as errors, and no others."""
    chosen = set(categories)
    return CUSTOM + ",".join(each for each in LENIENT_DEEDS if each in chosen)


def read_custom(name: str) -> ReleasePolicy:
    """Return the policy that such a name means; it may count nothing as an error."""
    chosen = [each for each in name.removeprefix(CUSTOM).split(",") if each]
    if unknown := [each for each in chosen if each not in LENIENT_DEEDS]:
        known = ", ".join(LENIENT_DEEDS)
        raise PolicyError(f"{unknown[0]!r} is not a category of error; there are: {known}")
    deeds = {
        verdict: deed if verdict in chosen else Deed.KEEP for verdict, deed in LENIENT_DEEDS.items()
    }
    return ReleasePolicy(name_custom(chosen), deeds=deeds)


def list_policies(project_id: int) -> list[str]:
    """Return the names that a project's reports and releases may be asked by."""
    stored = StoredPolicy.objects.filter(project=project_id).order_by("name")
    return [*BUILT_IN, *stored.values_list("name", flat=True).distinct()]


def find_policy(policy: AnyPolicy, project_id: int) -> ReleasePolicy:
    """Return the policy of that name, a stored one in its newest version."""
    if isinstance(policy, ReleasePolicy):
        return policy
    if policy in BUILT_IN:
        return BUILT_IN[policy]
    if policy.startswith(CUSTOM):
        return read_custom(policy)
    stored = StoredPolicy.objects.filter(project=project_id, name=policy)
    newest = stored.order_by("-version").first()
    if newest is None:
        known = ", ".join(list_policies(project_id))
        raise PolicyError(f"there is no policy {policy!r}; there are: {known}")
    return read_policy(newest.name, newest.version, newest.definition)
