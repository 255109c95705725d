"""What people fill in on the pages of the reviews app."""

from __future__ import annotations

from typing import Any

from django import forms

from reviews.models import Policy
from reviews.services.sampling import MAX_SEED, MOST_VOTES

MAX_SIZE = 1_000_000
VOTES = "votes:"


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
            if not str(value).isdigit() or not 1 <= int(value) <= MOST_VOTES:
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
    """Which verdicts count as errors in the release."""

    policy = forms.ChoiceField(choices=Policy.choices, initial=Policy.LENIENT)
