"""A policy in sentences, as its page says it."""

from __future__ import annotations

from collections.abc import Sequence

from reviews.decisions import WORDS
from reviews.policies import CATEGORIES, QUESTION_CATEGORIES, Deed, Open, ReleasePolicy

DEED_WORDS = {
    Deed.RELABEL: "relabelled",
    Deed.ADD: "gets more labels",
    Deed.EXCLUDE: "excluded",
    Deed.KEEP: "no error",
}
OPEN_WORDS = {
    Open.KEEP: "keeps its label",
    Open.EXCLUDE: "is excluded",
    Open.MARK: "keeps its label and is listed apart",
}


def categories_of(*, has_questions: bool) -> Sequence[str]:
    """Return the categories of error that such a data set's items can have."""
    return QUESTION_CATEGORIES if has_questions else CATEGORIES


def describe_policy(policy: ReleasePolicy, *, has_questions: bool) -> list[str]:
    """Return what counts as an error, who decides, and what becomes of the rest."""
    sentences = []
    for deed, words in DEED_WORDS.items():
        names = [
            WORDS[category].lower()
            for category in categories_of(has_questions=has_questions)
            if policy.deeds[category] is deed
        ]
        if names:
            sentences.append(f"{', '.join(names).capitalize()}: {words}.")
    if policy.needed is None:
        sentences.append("More than half of the votes that are sure decide.")
    else:
        sentences.append(f"{policy.needed} of {policy.asked} votes make an error.")
    sentences.append(f"An item whose votes don't decide {OPEN_WORDS[policy.undecided]}.")
    without = "excluded" if policy.without_class is Deed.EXCLUDE else "left as it is"
    sentences.append(f"An item to relabel without an agreed class is {without}.")
    if policy.adjudicated_first:
        sentences.append("An adjudicator's word comes first.")
    return sentences
