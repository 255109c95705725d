"""The desk's keys: one list, by which the page acts and by which changed keys are checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from audit.models import Dataset
from reviews.models import QuestionVerdict, Verdict

VERDICT_KEYS = {
    Verdict.LABEL_CORRECT: "q",
    Verdict.WRONG_LABEL: "w",
    Verdict.MULTI_OBJECT: "m",
    Verdict.SIMILAR_CLASS: "s",
    Verdict.SUB_CLASS: "b",
    Verdict.SUPER_CLASS: "p",
    Verdict.UNSURE: "u",
}
QUESTION_KEYS = {
    QuestionVerdict.LABEL_CORRECT: "q",
    QuestionVerdict.WRONG_GROUND_TRUTH: "w",
    QuestionVerdict.MULTIPLE_CORRECT: "m",
    QuestionVerdict.NO_CORRECT: "n",
    QuestionVerdict.BAD_QUESTION_CLARITY: "t",
    QuestionVerdict.BAD_OPTIONS_CLARITY: "o",
    QuestionVerdict.UNSURE: "u",
}
NAMED_KEYS = frozenset(
    {
        *("arrowleft", "arrowright", "arrowup", "arrowdown", "home", "end", "pageup", "pagedown"),
        *("enter", "backspace", "delete", "insert", " "),
    }
)
VERDICTS, CLASSES, AROUND, PICTURE, HELP = (
    "Verdict",
    "Classes",
    "Going about",
    "Picture",
    "Help",
)
ANSWERS, TEXT = "Answer", "Text"


class KeysRefusedError(ValueError):
    """These keys can't be used; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Act:
    """Something a key does: its name, "action" or "action:value", and the usual key."""

    name: str
    key: str
    does: str
    group: str


AROUND_THE_DESK = (
    Act("forward", "arrowright", "Later: no verdict now, it comes back", AROUND),
    Act("back", "arrowleft", "Look again at the one before", AROUND),
    Act("undo", "z", "Undo the last verdict, as often as you like", AROUND),
    Act("refer", "f", "Flag for adjudication", AROUND),
    Act("reveal", "r", "Reveal label and experts of the last item", AROUND),
)
HELPS = (
    Act("guide", "g", "Open or close the guide", HELP),
    Act("keys", "?", "Show and change the keys", HELP),
)


def _verdict_acts(
    keys: Mapping[Verdict, str] | Mapping[QuestionVerdict, str], submitting: str, *own: Act
) -> tuple[Act, ...]:
    """Return the keys of one desk's verdicts, and of what goes with a verdict."""
    return (
        *(
            Act(f"verdict:{each.value}", key, str(each.label), VERDICTS)
            for each, key in keys.items()
        ),
        Act("submit", "enter", submitting, VERDICTS),
        *own,
        Act("note", "c", "Comment on the verdict", VERDICTS),
    )


PICTURE_ACTS = (
    *_verdict_acts(
        VERDICT_KEYS, "Submit and next", Act("severity", "v", "How bad the error is", VERDICTS)
    ),
    Act("none", "0", "None of these", CLASSES),
    Act("search", "/", "Search every class", CLASSES),
    Act("exemplars", "x", "More examples of each class", CLASSES),
    *AROUND_THE_DESK,
    Act("actual", "i", "Original size, or fit", PICTURE),
    Act("zoom:1", "+", "Closer", PICTURE),
    Act("zoom:-1", "-", "Further away", PICTURE),
    *HELPS,
)
QUESTION_ACTS = (
    *_verdict_acts(
        QUESTION_KEYS,
        "Show the key, or submit and next",
        Act("derivation", "d", "You derived the answer yourself", VERDICTS),
        Act("source", "s", "Name a source for another key", VERDICTS),
    ),
    Act("none", "0", "None of the options holds", ANSWERS),
    *AROUND_THE_DESK,
    Act("scroll:1", "pagedown", "Read on", TEXT),
    Act("scroll:-1", "pageup", "Read back", TEXT),
    *HELPS,
)
DESKS = {"pictures": PICTURE_ACTS, "questions": QUESTION_ACTS}
USUAL = {act.name: act.key for acts in DESKS.values() for act in acts}
# Rows are called by these; they can't be given to anything else, nor taken away.
ROW_KEYS = frozenset("123456789")


def acts_of(dataset: Dataset) -> tuple[Act, ...]:
    """Return what keys do at the desk for such items."""
    return QUESTION_ACTS if dataset.has_questions else PICTURE_ACTS


def check_keys(changes: Mapping[str, object]) -> dict[str, str]:
    """Return the keys that differ from the usual ones, or say what is wrong with them.

    One key means one thing at each kind of desk; acts that both know have one key for both.
    """
    keys: dict[str, str] = {}
    for name, key in changes.items():
        if name not in USUAL:
            raise KeysRefusedError(f"nothing on the desk is called {name[:40]!r}")
        if not isinstance(key, str) or not is_usable(key):
            raise KeysRefusedError(f"{key!r:.40} is no key that can be used")
        keys[name] = key
    for desk, acts in DESKS.items():
        taken: dict[str, str] = {}
        for name in (act.name for act in acts):
            key = keys.get(name, USUAL[name])
            if key in taken:
                where = f"at the desk for {desk}"
                raise KeysRefusedError(f"{key!r} would mean both {taken[key]} and {name} {where}")
            taken[key] = name
    return {name: key for name, key in keys.items() if key != USUAL[name]}


def is_usable(key: str) -> bool:
    """Whether a key, as browsers name it in lower case, can be given to an act."""
    single = len(key) == 1 and key.isprintable() and key == key.lower() and key not in ROW_KEYS
    return single or key in NAMED_KEYS
