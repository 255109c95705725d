"""One sentence that says which method to trust, read off intervals and never claiming more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from audit.methods import name_method
from audit.templatetags.figures import fraction, interval
from reviews.truths import JUDGMENTS

Kind: TypeAlias = Literal["one method", "unknown", "not distinguishable", "ahead", "mixed"]


@dataclass(frozen=True, slots=True)
class Headline:
    """What comparing every two methods at equal detection rates comes to.

    ``ahead``: methods that are nowhere less precise than another and somewhere more precise;
    ``sentence`` says so in words, ``scope`` what the claim is limited to.
    """

    kind: Kind
    ahead: tuple[str, ...]
    sentence: str
    scope: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How one method did against the others: by other method, the rates where it won or lost."""

    won: dict[str, list[float]]
    lost: dict[str, list[float]]
    reach: float


def tell_headline(report: dict[str, Any]) -> Headline:
    """Return which methods are ahead by limits that hold for all comparisons at once."""
    methods, rows = list(report["methods"]), report["equal_detection"]
    if len(methods) < 2:
        return Headline("one method", (), "There is only one method here: nothing to compare.", "")
    if not rows:
        return Headline(
            "unknown",
            (),
            "Which method is better can't be said yet: too little is judged to compare them where "
            "they find the same share of errors.",
            "",
        )
    standings = {method: _find_standing(method, rows) for method in methods}
    leaders = _find_leaders(standings)
    scope = _tell_scope(report, len(rows))
    if not any(each.won for each in standings.values()):
        sentence = (
            "The methods are not distinguishable: where any two find the same share of errors, no "
            "difference in precision is beyond chance."
        )
        return Headline("not distinguishable", (), sentence, scope)
    if not leaders:
        return Headline("mixed", (), _tell_mixed(standings), scope)
    return Headline("ahead", tuple(leaders), _tell_leaders(leaders, standings), scope)


def _tell_scope(report: dict[str, Any], n_comparisons: int) -> str:
    """Return what the claim rests on, and where it ends."""
    kind = "relative " if report["kind"] == "relative" else ""
    scope = (
        f"Compared at equal {kind}detection rates, {report['policy']} policy, with 95 % confidence "
        f"for all {n_comparisons:,} comparisons at once."
    )
    if report["judge"]:
        return f"{scope} By people's verdicts alone, without the judge."
    if report["truth"] != JUDGMENTS and not report["census"]:
        scope += (
            " These votes were not drawn at random: it holds as far as the items with votes are "
            "like the others."
        )
    return scope


def _find_standing(method: str, rows: Iterable[dict[str, Any]]) -> Standing:
    won: defaultdict[str, list[float]] = defaultdict(list)
    lost: defaultdict[str, list[float]] = defaultdict(list)
    reach = 0.0
    for row in rows:
        if method not in (row["a"], row["b"]):
            continue
        reach = max(reach, row["rate"])
        is_first = row["a"] == method
        other, limits = row["b" if is_first else "a"], row["together"]
        if limits["low"] > 0:
            (won if is_first else lost)[other].append(row["rate"])
        elif limits["high"] < 0:
            (lost if is_first else won)[other].append(row["rate"])
    return Standing(dict(won), dict(lost), reach)


def _find_leaders(standings: dict[str, Standing]) -> list[str]:
    """Return the methods that win somewhere and lose nowhere, those that reach furthest first."""
    found = [method for method, each in standings.items() if each.won and not each.lost]
    return sorted(found, key=lambda method: (-standings[method].reach, -len(standings[method].won)))


def _tell_leaders(leaders: Sequence[str], standings: dict[str, Standing]) -> str:
    first = leaders[0]
    best = standings[first]
    others = len(standings) - 1
    all_others = "every other method" if others > 1 else _join(best.won)
    beaten = all_others if len(best.won) == others else _join(best.won)
    alike = [
        method
        for method, each in standings.items()
        if method != first and method not in best.won and each.reach
    ]
    won = (
        f"Up to {best.reach:.0%} of all errors it is nowhere found less precise than another "
        f"method, and somewhere more precise than {beaten}."
    )
    if not alike:
        return f"Trust “{name_method(first)}” most. {won}"
    return (
        f"Trust “{name_method(first)}”, but not more than {_join(alike)}: these are not "
        f"distinguishable from it, as far as they reach. {won}"
    )


def _tell_mixed(standings: dict[str, Standing]) -> str:
    most = max(standings, key=lambda method: len(standings[method].won))
    ahead, behind = standings[most].won, standings[most].lost
    sentence = "No method is best at every depth"
    if not behind:
        return f"{sentence}."
    return (
        f"{sentence}: “{name_method(most)}” is more precise than {_join(ahead)}"
        f"{_rates(ahead)}, but less precise than {_join(behind)}{_rates(behind)}."
    )


def _rates(against: dict[str, list[float]]) -> str:
    """Return at which detection rates, as the smallest and the largest of them."""
    rates = sorted({rate for found in against.values() for rate in found})
    if len(rates) == 1:
        return f" at {rates[0]:.0%} of all errors"
    return f" between {rates[0]:.0%} and {rates[-1]:.0%} of all errors"


def _join(methods: Iterable[str]) -> str:
    names = [f"“{name_method(method)}”" for method in methods]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def tell_trend(trend: dict[str, Any]) -> str:
    """Return in words whether precision falls from the most confident bin on."""
    slope, p_value = trend["slope"], trend["p_value"]
    if p_value is None:
        return "Fewer than three bins have judged items: no trend can be told."
    if slope["census"]:
        falls = "falls" if slope["estimate"] < 0 else "does not fall"
        return f"By all items, precision {falls} from the most confident bin on."
    change = f"by {fraction(slope['estimate'])} a bin ({interval(slope, 3)}"
    p_words = "p < .001" if p_value < 0.001 else f"p = {fraction(p_value)}"
    if p_value < 0.05:
        return f"Precision falls from the most confident bin on: it changes {change}; {p_words})."
    return f"It is not shown that precision falls from bin to bin: it changes {change}; {p_words})."
