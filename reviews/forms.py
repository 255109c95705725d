"""What people fill in on the pages of the reviews app."""

from __future__ import annotations

from django import forms

from reviews.models import Policy
from reviews.services.sampling import MAX_SEED

MAX_SIZE = 1_000_000


class SampleForm(forms.Form):
    """How many items people judge, and how often each; the words of `freeze_sample`."""

    size = forms.IntegerField(label="flagged items", min_value=0, max_value=MAX_SIZE, initial=300)
    unflagged = forms.IntegerField(
        label="unflagged items", min_value=0, max_value=MAX_SIZE, initial=100
    )
    votes_per_item = forms.IntegerField(label="votes per item", min_value=1, max_value=9, initial=1)
    seed = forms.IntegerField(label="seed", min_value=0, max_value=MAX_SEED, initial=0)


class ReleaseForm(forms.Form):
    """Which verdicts count as errors in the release."""

    policy = forms.ChoiceField(choices=Policy.choices, initial=Policy.LENIENT)
