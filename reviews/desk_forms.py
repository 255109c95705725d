"""What people send to the desk, checked."""

from __future__ import annotations

from typing import Any

from django import forms

from audit.models import Dataset, Item
from reviews.categories import ALONE, allowed_verdicts, corrected_label
from reviews.desk_keys import KeysRefusedError, check_keys
from reviews.models import KEY_CHANGES, Mode, QuestionVerdict, Severity, Verdict
from reviews.question_categories import allowed_question_verdicts, corrected_key
from reviews.services.judgments import Answer
from reviews.services.leases import MOST_SET_ASIDE

A_DAY = 86_400_000
MOST_LABELS = 30
MOST_SOURCE = 500


class LabelsField(forms.Field):
    """A list of different class indices, the main one first; None where nothing was ticked."""

    def to_python(self, value: Any) -> tuple[int, ...] | None:
        if value is None:
            return None
        is_list = isinstance(value, list) and len(value) <= MOST_LABELS
        if not is_list or not all(type(each) is int and each >= 0 for each in value):
            raise forms.ValidationError("the labels are no list of class indices")
        if len(set(value)) != len(value):
            raise forms.ValidationError("a class is named twice")
        return tuple(value)


class SaidForm(forms.Form):
    """What is said of any item: under which key, at which desk, how fast."""

    key = forms.UUIDField()
    mode = forms.ChoiceField(choices=Mode.choices)
    labels = LabelsField(required=False)
    note = forms.CharField(required=False, max_length=2000)
    milliseconds = forms.IntegerField(min_value=0, max_value=A_DAY)
    ui_version = forms.CharField(required=False, max_length=20)


class AnswerForm(SaidForm):
    """One verdict on one picture whose given label is known."""

    verdict = forms.ChoiceField(
        choices=[choice for choice in Verdict.choices if choice[0] != Verdict.WITHDRAWN]
    )
    corrected_label = forms.IntegerField(required=False, min_value=0)
    severity = forms.TypedChoiceField(
        required=False, choices=Severity.choices, coerce=int, empty_value=None
    )

    def __init__(self, data: dict[str, Any], *, n_classes: int, given_label: int) -> None:
        super().__init__(data)
        self.n_classes = n_classes
        self.given_label = given_label

    def clean_corrected_label(self) -> int | None:
        label: int | None = self.cleaned_data["corrected_label"]
        if label is None:
            return None
        if self.cleaned_data.get("verdict") in ALONE:
            raise forms.ValidationError("only a label error has a corrected label")
        if label >= self.n_classes:
            raise forms.ValidationError(f"the classes are 0 to {self.n_classes - 1}")
        if label == self.given_label:
            raise forms.ValidationError("this is the given label")
        return label

    def clean_labels(self) -> tuple[int, ...] | None:
        labels: tuple[int, ...] | None = self.cleaned_data["labels"]
        if labels and max(labels) >= self.n_classes:
            raise forms.ValidationError(f"the classes are 0 to {self.n_classes - 1}")
        return labels

    def clean(self) -> dict[str, Any]:
        """Check that ticks and verdict agree; the ticks decide the corrected label."""
        values = super().clean() or {}
        verdict, labels = values.get("verdict"), values.get("labels")
        if self.errors or verdict is None:
            return values
        if values["severity"] is not None and verdict in ALONE:
            self.add_error("severity", "only a label error is more or less severe")
        if values["mode"] == Mode.FULL or labels is not None:
            if verdict not in allowed_verdicts(self.given_label, labels):
                self.add_error("verdict", "this contradicts the classes that are ticked")
            values["corrected_label"] = corrected_label(
                Verdict(verdict), self.given_label, labels or ()
            )
        return values

    @property
    def answer(self) -> Answer:
        values = self.cleaned_data
        return Answer(
            verdict=Verdict(values["verdict"]),
            corrected_label=values["corrected_label"],
            note=values["note"],
            milliseconds=values["milliseconds"],
            labels=values["labels"],
            severity=values["severity"],
            mode=Mode(values["mode"]),
            ui_version=values["ui_version"],
        )


class QuestionForm(SaidForm):
    """One verdict on one question whose key is known, from what the annotator answered."""

    verdict = forms.ChoiceField(choices=QuestionVerdict.choices)
    blind_labels = LabelsField(required=False)
    source = forms.CharField(required=False, max_length=MOST_SOURCE)
    has_derivation = forms.BooleanField(required=False)

    def __init__(self, data: dict[str, Any], *, n_options: int, given_label: int) -> None:
        super().__init__(data)
        self.n_options = n_options
        self.given_label = given_label

    def clean_labels(self) -> tuple[int, ...] | None:
        return self._check_options("labels")

    def clean_blind_labels(self) -> tuple[int, ...] | None:
        return self._check_options("blind_labels")

    def _check_options(self, field: str) -> tuple[int, ...] | None:
        labels: tuple[int, ...] | None = self.cleaned_data[field]
        if labels and max(labels) >= self.n_options:
            raise forms.ValidationError(f"the options are 0 to {self.n_options - 1}")
        return labels

    def clean(self) -> dict[str, Any]:
        """Check that answers and class agree, and that a changed key is accounted for."""
        values = super().clean() or {}
        verdict, labels = values.get("verdict"), values.get("labels")
        if self.errors or verdict is None:
            return values
        has_answered = values["mode"] == Mode.FULL or labels is not None
        if has_answered and verdict not in allowed_question_verdicts(self.given_label, labels):
            self.add_error("verdict", "this contradicts the answers")
        if verdict not in KEY_CHANGES:
            values["source"], values["has_derivation"] = "", False
        elif not values["source"] and not values["has_derivation"]:
            self.add_error("source", "a changed key needs a source, or a derivation")
        return values

    @property
    def answer(self) -> Answer:
        values = self.cleaned_data
        verdict, labels = QuestionVerdict(values["verdict"]), values["labels"]
        is_full = values["mode"] == Mode.FULL
        return Answer(
            verdict=verdict,
            corrected_label=corrected_key(verdict, self.given_label, labels),
            note=values["note"],
            milliseconds=values["milliseconds"],
            labels=labels,
            mode=Mode(values["mode"]),
            ui_version=values["ui_version"],
            blind_labels=values["blind_labels"] if is_full else None,
            source=values["source"],
            has_derivation=values["has_derivation"],
        )


def read_answer(data: dict[str, Any], item: Item, dataset: Dataset) -> AnswerForm | QuestionForm:
    """Return the form for what was sent about an item of a data set."""
    given_label = item.given_label
    if dataset.has_questions:
        return QuestionForm(data, n_options=len(item.choices), given_label=given_label)
    return AnswerForm(data, n_classes=dataset.n_classes, given_label=given_label)


class UndoForm(forms.Form):
    """Which verdict to take back, by the key it was sent with."""

    key = forms.UUIDField()
    undoes = forms.UUIDField()
    ui_version = forms.CharField(required=False, max_length=20)


class ReferralForm(forms.Form):
    """Which item an adjudicator shall look at, or no longer."""

    slot = forms.IntegerField(min_value=1)
    ticket = forms.CharField(required=False, max_length=200)
    is_open = forms.BooleanField(required=False)
    note = forms.CharField(required=False, max_length=2000)


class PreferenceForm(forms.Form):
    """How somebody likes the desk; only what is named changes."""

    mode = forms.ChoiceField(required=False, choices=[("", "as the screen asks"), *Mode.choices])
    stops_at_reveal = forms.BooleanField(required=False)
    keys = forms.Field(required=False)

    def clean_keys(self) -> dict[str, str]:
        changes = self.cleaned_data["keys"]
        if changes is not None and not isinstance(changes, dict):
            raise forms.ValidationError("the keys are no list of acts and keys")
        try:
            return check_keys(changes or {})
        except KeysRefusedError as error:
            raise forms.ValidationError(str(error)) from error

    @property
    def changes(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in self.cleaned_data if name in self.data}


def read_slot_ids(data: dict[str, Any], field: str, most: int = 2 * MOST_SET_ASIDE) -> list[int]:
    """Return the slot ids in one field of a request; anything else in it is passed over."""
    values = data.get(field)
    if not isinstance(values, list):
        return []
    return [value for value in values[:most] if type(value) is int and 0 < value < 2**63]


def read_mode(data: dict[str, Any]) -> Mode:
    """Return at which desk somebody sits; the full one where nothing is said."""
    return Mode.QUICK if data.get("mode") == Mode.QUICK else Mode.FULL
