"""What people fill in on the pages of the reviews app."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms

from reviews.decisions import WORDS
from reviews.policies import BUILT_IN, Deed, Open, ReleasePolicy
from reviews.policies import MOST_VOTES as MOST_COUNTED
from reviews.policy_words import categories_of
from reviews.release_formats import FORMATS
from reviews.services.sampling import MAX_SEED, MOST_VOTES

MAX_SIZE = 1_000_000
VOTES = "votes:"
ALLOWED_VOTES = {str(number) for number in range(1, MOST_VOTES + 1)}


class SampleForm(forms.Form):
    """How many items people judge, and how; the words of `freeze_sample`."""

    size = forms.IntegerField(label="flagged items", min_value=0, max_value=MAX_SIZE, initial=300)
    unflagged = forms.IntegerField(
        label="unflagged items", min_value=0, max_value=MAX_SIZE, initial=100
    )
    votes_per_item = forms.IntegerField(
        label="votes per item", min_value=1, max_value=MOST_VOTES, initial=1
    )
    revealed_share = forms.FloatField(
        label="share revealed first",
        min_value=0,
        max_value=1,
        initial=0,
        step_size=0.01,
        help_text="0 to 1: how often label and experts are shown before the verdict, "
        "to measure how much they sway it",
    )
    adds_third_vote = forms.BooleanField(
        label="a third vote where two differ",
        required=False,
        initial=True,
        help_text="of items with two votes; an adjudicator decides what three votes leave open",
    )
    seed = forms.IntegerField(label="seed", min_value=0, max_value=MAX_SEED, initial=0)

    def clean(self) -> dict[str, Any]:
        """Add the votes of single strata: fields "votes:NAME", empty where nothing differs."""
        cleaned = super().clean() or {}
        cleaned["stratum_votes"] = {}
        for field, value in self.data.items():
            name = field.removeprefix(VOTES)
            if name == field or not str(value).strip():
                continue
            if str(value) not in ALLOWED_VOTES:
                self.add_error(None, f"votes of {name}: a whole number from 1 to {MOST_VOTES}")
            else:
                cleaned["stratum_votes"][name] = int(value)
        return cleaned

    @property
    def numbers(self) -> dict[str, Any]:
        """What `plan_strata` asks for."""
        named = ("size", "unflagged", "votes_per_item", "stratum_votes")
        return {name: self.cleaned_data[name] for name in named}


class ReleaseForm(forms.Form):
    """By which policy a release is built, and in which formats."""

    policy = forms.ChoiceField()
    formats = forms.MultipleChoiceField(
        choices=[(name, name) for name in FORMATS],
        error_messages={"required": "Choose a format at least."},
    )

    def __init__(self, *args: Any, policies: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["policy"]
        if isinstance(field, forms.ChoiceField):
            field.choices = [(name, name) for name in policies]


class PolicyForm(forms.Form):
    """A policy of one's own: `document` is its definition."""

    MAJORITY, COUNT = "majority", "count"

    name = forms.SlugField(label="name", max_length=50)
    rule = forms.ChoiceField(
        label="who decides",
        choices=[(MAJORITY, "more than half of the sure votes"), (COUNT, "k of n votes")],
    )
    needed = forms.IntegerField(label="k", min_value=1, max_value=MOST_COUNTED, required=False)
    asked = forms.IntegerField(label="n", min_value=1, max_value=MOST_COUNTED, required=False)
    undecided = forms.ChoiceField(
        label="undecided items",
        choices=[
            (Open.KEEP.value, "keep their label"),
            (Open.EXCLUDE.value, "are excluded"),
            (Open.MARK.value, "keep their label, listed apart"),
        ],
    )
    without_class = forms.ChoiceField(
        label="no agreed class",
        choices=[(Deed.EXCLUDE.value, "exclude"), (Deed.KEEP.value, "keep the label")],
    )
    adjudicated_first = forms.BooleanField(
        label="an adjudicator's word comes first", required=False
    )

    def __init__(
        self, *args: Any, has_questions: bool, policy: ReleasePolicy, **kwargs: Any
    ) -> None:
        self._policy = policy
        kwargs.setdefault("initial", _start_from(policy))
        super().__init__(*args, **kwargs)
        self.categories = categories_of(has_questions=has_questions)
        for category in self.categories:
            self.fields[category] = forms.ChoiceField(
                label=WORDS[category].lower(),
                choices=[
                    (Deed.RELABEL.value, "relabel"),
                    (Deed.ADD.value, "add the labels"),
                    (Deed.EXCLUDE.value, "exclude"),
                    (Deed.KEEP.value, "keep: no error"),
                ],
                initial=policy.deeds[category].value,
            )

    @property
    def deed_fields(self) -> list[forms.BoundField]:
        """The fields that say what is done about each category."""
        return [self[category] for category in self.categories]

    def clean(self) -> dict[str, Any]:
        """Ask for both numbers where votes are counted."""
        cleaned = super().clean() or {}
        needed, asked = cleaned.get("needed"), cleaned.get("asked")
        if cleaned.get("rule") == self.COUNT and not self.errors:
            if needed is None or asked is None:
                self.add_error(None, "k of n votes: give both numbers")
            elif needed > asked:
                self.add_error(None, f"{needed} of {asked} votes: the first is at most the second")
        return cleaned

    @property
    def document(self) -> dict[str, Any]:
        """The definition as `save_policy` takes it; categories not asked for stay as they were."""
        said = self.cleaned_data
        counts = said["rule"] == self.COUNT
        return {
            "deeds": {name: deed.value for name, deed in self._policy.deeds.items()}
            | {category: said[category] for category in self.categories},
            "needed": said["needed"] if counts else None,
            "asked": said["asked"] if counts else None,
            "undecided": said["undecided"],
            "without_class": said["without_class"],
            "adjudicated_first": said["adjudicated_first"],
        }


def _start_from(policy: ReleasePolicy) -> dict[str, Any]:
    return {
        "name": "" if policy.name in BUILT_IN else policy.name,
        "rule": PolicyForm.MAJORITY if policy.needed is None else PolicyForm.COUNT,
        "needed": policy.needed,
        "asked": policy.asked,
        "undecided": policy.undecided.value,
        "without_class": policy.without_class.value,
        "adjudicated_first": policy.adjudicated_first,
    }


class PlanForm(forms.Form):
    """How narrow an interval shall be, of what; `k` is of the top k bins."""

    goal = forms.ChoiceField(
        label="make narrower",
        choices=[("precision", "precision"), ("detection_rate", "detection rate")],
    )
    k = forms.IntegerField(label="of the top k bins", min_value=1)
    width = forms.FloatField(label="to a width of", min_value=0.001, max_value=0.999)
