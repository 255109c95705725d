"""What an adjudicator fills in, checked."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any

from django import forms

from audit.models import Item
from reviews.categories import ALONE, allowed_verdicts, corrected_label
from reviews.models import QUESTION_RULINGS, RULINGS, UNCLEAR, QuestionVerdict, Verdict
from reviews.question_categories import allowed_question_verdicts, corrected_key
from reviews.services.adjudication import Ruling, Seen
from reviews.services.class_cards import ClassCard

NAMES_NOTHING = ALONE | UNCLEAR
NUMBERED = re.compile(r"\(([0-9]{1,9})\)\s*$")
INDEX = re.compile(r"[0-9]{1,9}")


class TickedField(forms.MultipleChoiceField):
    """The classes that are ticked, each one once, in the order of the page."""

    def __init__(self) -> None:
        super().__init__(required=False)

    def to_python(self, value: Any) -> list[Any]:
        texts = dict.fromkeys(super().to_python(value))
        if not all(text.isdecimal() and text.isascii() and len(text) < 10 for text in texts):
            raise forms.ValidationError("Classes are called by their numbers.")
        return [int(text) for text in texts]

    def validate(self, value: Any) -> None:
        """Leave the range to the form, which knows the data set."""


class RulingForm(forms.Form):
    """The verdict on one item, the classes that hold, and the reason."""

    verdict = forms.ChoiceField(choices=RULINGS, widget=forms.RadioSelect)
    labels = TickedField()
    main = forms.IntegerField(required=False, min_value=0)
    other_class = forms.CharField(required=False, max_length=300)
    reason = forms.CharField(
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 4}),
        error_messages={"required": "Say why: the reason is kept with the decision."},
    )
    seen_adjudication = forms.IntegerField(min_value=0, widget=forms.HiddenInput)
    seen_judgment = forms.IntegerField(min_value=0, widget=forms.HiddenInput)
    ui_version = forms.CharField(required=False, max_length=20, widget=forms.HiddenInput)

    def __init__(self, data: Any = None, *, item: Item, **options: Any) -> None:
        super().__init__(data, **options)
        self.item = item
        if item.dataset.has_questions:
            self.fields["verdict"].choices = QUESTION_RULINGS  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Find what holds, ticked or typed, and check that the verdict doesn't contradict it."""
        values = super().clean() or {}
        verdict, labels = values.get("verdict"), values.get("labels")
        values["corrected"] = None
        if verdict is None or labels is None:
            return values
        if verdict in NAMES_NOTHING:
            values["labels"] = None
            return values
        typed = values.get("other_class")
        other = self._find_class(typed.strip()) if typed else None
        labels = self._put_in_order([*labels, *([] if other is None else [other])], verdict)
        last = self.item.dataset.n_classes - 1
        if any(label > last for label in labels):
            self.add_error("labels", f"The classes are 0 to {last}.")
        elif not self.errors:
            self._check(verdict, labels)
        return values

    def _put_in_order(self, labels: list[int], verdict: str) -> list[int]:
        """Return the main class first. Some verdicts say of the given label that it holds too."""
        given, main = self.item.given_label, self.cleaned_data.get("main")
        is_implied = verdict == Verdict.MULTI_OBJECT or (
            verdict == QuestionVerdict.MULTIPLE_CORRECT and len(labels) == 1
        )
        if labels and given not in labels and is_implied:
            labels = [given, *labels]
        if self.item.dataset.has_questions:
            return sorted(labels)
        return sorted(dict.fromkeys(labels), key=lambda label: label != main)

    def _check(self, verdict: str, labels: list[int]) -> None:
        values, given = self.cleaned_data, self.item.given_label
        if self.item.dataset.has_questions:
            allowed: Collection[str] = allowed_question_verdicts(given, labels)
            values["corrected"] = corrected_key(QuestionVerdict(verdict), given, labels)
        else:
            allowed = allowed_verdicts(given, labels)
            values["corrected"] = corrected_label(Verdict(verdict), given, labels)
        if labels and verdict not in allowed:
            self.add_error("labels", "This contradicts the verdict: change one of them.")
        # An error may be plain though nobody can name what is right.
        is_named = bool(labels) or verdict == QuestionVerdict.NO_CORRECT
        values["labels"] = tuple(labels) if is_named else None

    def _find_class(self, typed: str) -> int | None:
        classes = self.item.dataset.classes
        numbered = NUMBERED.search(typed)
        if numbered or INDEX.fullmatch(typed):
            return int(numbered[1] if numbered else typed)
        found = list(classes.filter(name=typed)[:2]) or list(classes.filter(wordnet_id=typed)[:2])
        if len(found) != 1:
            said = "Several classes have" if found else "No class has"
            self.add_error("other_class", f"{said} the name {typed!r}; choose one from the list.")
            return None
        return found[0].index

    @property
    def ruling(self) -> Ruling:
        values = self.cleaned_data
        return Ruling(
            verdict=values["verdict"],
            reason=values["reason"],
            corrected_label=values["corrected"],
            labels=values["labels"],
            ui_version=values["ui_version"],
        )

    @property
    def ticked(self) -> frozenset[str]:
        """The classes whose boxes are ticked as the form is shown."""
        return frozenset(str(label) for label in self["labels"].value() or ())

    @property
    def seen(self) -> Seen:
        return Seen(self.cleaned_data["seen_adjudication"], self.cleaned_data["seen_judgment"])


def suggest_classes(cards: Iterable[ClassCard]) -> list[str]:
    """Return what the field for another class offers: names with their numbers."""
    return [f"{card.name} ({card.index})" for card in cards]
