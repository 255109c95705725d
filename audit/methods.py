"""The methods' stable names in words, in the order in which pages show them."""

from __future__ import annotations

from collections.abc import Iterable

CALIBRATED_ENSEMBLE = "calibrated_ensemble"
BASIC = "basic:"

NAMES = {
    CALIBRATED_ENSEMBLE: "two experts, top-k bins",
    "ensemble": "both experts dispute",
    "confident_learning": "Confident Learning",
    "confident_learning_cleanlab": "Confident Learning, cleanlab's rule",
    "balanced_odds": "balanced odds",
    "calibrated_margin": "calibrated margin",
    "self_confidence": "self-confidence",
}


# Rankings of every scored item rather than sets of flagged ones.
RANKINGS = frozenset({"balanced_odds", "self_confidence"})

SCORES = {
    "confident_learning": "margin",
    "confident_learning_cleanlab": "margin",
    "balanced_odds": "sum of reciprocal ranks",
    "calibrated_margin": "margin",
    "self_confidence": "doubt",
}


def name_method(method: str) -> str:
    """Return what people call a method: "basic:timm:resnet18" is "timm:resnet18 disputes"."""
    if method.startswith(BASIC):
        return f"{method.removeprefix(BASIC)} disputes"
    return NAMES.get(method, method.replace("_", " "))


def name_score(method: str) -> str:
    """Return what a method ranks by, in one or two words."""
    if method.startswith(BASIC):
        return "confidence"
    return SCORES.get(method, "joint confidence")


def order_methods(methods: Iterable[str]) -> list[str]:
    """Return the methods with the paper's first, then the named ones, then one per expert."""
    places = {method: place for place, method in enumerate(NAMES)}
    return sorted(methods, key=lambda method: (places.get(method, len(places)), method))
