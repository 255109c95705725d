"""What people send to the desk, checked."""

from __future__ import annotations

from typing import Any

from django import forms

from reviews.models import Verdict
from reviews.services.judgments import Answer
from reviews.services.leases import MOST_SET_ASIDE

WITHOUT_ERROR = {Verdict.LABEL_CORRECT, Verdict.UNSURE}
A_DAY = 86_400_000


class AnswerForm(forms.Form):
    """One verdict on one item whose given label is known."""

    key = forms.UUIDField()
    verdict = forms.ChoiceField(
        choices=[choice for choice in Verdict.choices if choice[0] != Verdict.WITHDRAWN]
    )
    corrected_label = forms.IntegerField(required=False, min_value=0)
    note = forms.CharField(required=False, max_length=2000)
    milliseconds = forms.IntegerField(min_value=0, max_value=A_DAY)

    def __init__(self, data: dict[str, Any], *, n_classes: int, given_label: int) -> None:
        super().__init__(data)
        self.n_classes = n_classes
        self.given_label = given_label

    def clean_corrected_label(self) -> int | None:
        label: int | None = self.cleaned_data["corrected_label"]
        if label is None:
            return None
        if self.cleaned_data.get("verdict") in WITHOUT_ERROR:
            raise forms.ValidationError("only a label error has a corrected label")
        if label >= self.n_classes:
            raise forms.ValidationError(f"the classes are 0 to {self.n_classes - 1}")
        if label == self.given_label:
            raise forms.ValidationError("this is the given label")
        return label

    @property
    def answer(self) -> Answer:
        values = self.cleaned_data
        return Answer(
            verdict=Verdict(values["verdict"]),
            corrected_label=values["corrected_label"],
            note=values["note"],
            milliseconds=values["milliseconds"],
        )


class UndoForm(forms.Form):
    """Which verdict to take back, by the key it was sent with."""

    key = forms.UUIDField()
    undoes = forms.UUIDField()


def read_slot_ids(data: dict[str, Any], field: str, most: int = 2 * MOST_SET_ASIDE) -> list[int]:
    """Return the slot ids in one field of a request; anything else in it is passed over."""
    values = data.get(field)
    if not isinstance(values, list):
        return []
    return [value for value in values[:most] if type(value) is int and 0 < value < 2**63]
