"""What an adjudicator fills in, checked."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from django import forms

from audit.models import Item
from reviews.categories import ALONE
from reviews.models import QUESTION_RULINGS, RULINGS, UNCLEAR, QuestionVerdict
from reviews.services.adjudication import Ruling, Seen
from reviews.services.class_cards import ClassCard

WITHOUT_CLASS = ALONE | UNCLEAR | {QuestionVerdict.NO_CORRECT}
NUMBERED = re.compile(r"\((\d{1,9})\)\s*$")


class RulingForm(forms.Form):
    """The verdict on one item, its right class if it has another one, and the reason."""

    verdict = forms.ChoiceField(choices=RULINGS, widget=forms.RadioSelect)
    corrected = forms.IntegerField(required=False, min_value=0)
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
        """Find the class: chosen from the list, or typed as name, number or WordNet id."""
        values = super().clean() or {}
        verdict, typed = values.get("verdict"), values.get("other_class")
        if verdict is None or verdict in WITHOUT_CLASS:
            values["corrected"] = None
            return values
        if typed:
            values["corrected"] = self._find_class(typed.strip())
        label = values.get("corrected")
        if label is not None and label >= self.item.dataset.n_classes:
            last = self.item.dataset.n_classes - 1
            self.add_error("corrected", f"The classes are 0 to {last}.")
        if label is not None and label == self.item.given_label:
            self.add_error("corrected", "This is the given label: name another class, or none.")
        return values

    def _find_class(self, typed: str) -> int | None:
        classes = self.item.dataset.classes
        numbered = NUMBERED.search(typed)
        if numbered or typed.isdigit():
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
            ui_version=values["ui_version"],
        )

    @property
    def seen(self) -> Seen:
        return Seen(self.cleaned_data["seen_adjudication"], self.cleaned_data["seen_judgment"])


def suggest_classes(cards: Iterable[ClassCard]) -> list[str]:
    """Return what the field for another class offers: names with their numbers."""
    return [f"{card.name} ({card.index})" for card in cards]
