"""What people fill in: a new audit, and the queue explorer's filters."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

from audit.models import Audit, Dataset, Role, ScoreSet

BYTES_PER_LOGIT = 4
EXAMPLES = {
    Dataset.Kind.IMAGE: "timm:convnext_tiny.in12k_ft_in1k",
    Dataset.Kind.MULTIPLE_CHOICE: "transformers:meta-llama/Llama-3.1-8B,shots=5",
}


@dataclass(frozen=True, slots=True)
class Estimate:
    """What an audit would have to do, before anybody starts it."""

    n_items: int
    n_experts: int
    n_new_experts: int
    n_chunks: int
    n_bytes: int


class NewAuditForm(forms.Form):
    """A data set, two or more experts, and the parameters with the paper's defaults."""

    dataset = forms.ModelChoiceField(Dataset.objects.none(), empty_label="choose a data set")
    score_sets = forms.ModelMultipleChoiceField(
        ScoreSet.objects.none(), required=False, widget=forms.CheckboxSelectMultiple
    )
    other_experts = forms.CharField(
        required=False,
        max_length=2000,
        widget=forms.Textarea(
            attrs={
                "rows": 2,
                "spellcheck": "false",
                "placeholder": EXAMPLES[Dataset.Kind.IMAGE],
            }
        ),
    )
    n_bins = forms.IntegerField(min_value=1, max_value=1000, initial=15)
    bins_over = forms.ChoiceField(choices=Audit.BinsOver.choices, initial=Audit.BinsOver.DISPUTED)
    calibrator = forms.ChoiceField(
        choices=Audit.Calibrator.choices, initial=Audit.Calibrator.TEMPERATURE
    )
    require_agreement = forms.BooleanField(required=False)
    seed = forms.IntegerField(min_value=0, max_value=2**31 - 1, initial=0)

    def __init__(self, *args: Any, user: AbstractBaseUser | AnonymousUser, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        open_to_user = Dataset.objects.open_to(user, at_least=Role.MAINTAINER)
        datasets = open_to_user.with_classes().order_by("slug")
        self.fields["dataset"].queryset = datasets  # type: ignore[attr-defined]
        self.chosen = _find_dataset(datasets, self["dataset"].value())
        ready = ScoreSet.objects.none()
        if self.chosen is not None:
            ready = self.chosen.score_sets.with_logits().order_by("expert")
        self.fields["score_sets"].queryset = ready  # type: ignore[attr-defined]

        if self.chosen is not None:
            widget = self.fields["other_experts"].widget
            widget.attrs["placeholder"] = EXAMPLES[Dataset.Kind(self.chosen.kind)]

    @property
    def takes_pictures(self) -> bool:
        """Whether the data set chosen, or any that may be, has items for image classifiers."""
        return self.chosen is None or self.chosen.kind == Dataset.Kind.IMAGE

    @property
    def takes_questions(self) -> bool:
        """Whether the data set chosen, or any that may be, has items for language models."""
        return self.chosen is None or self.chosen.kind == Dataset.Kind.MULTIPLE_CHOICE

    @property
    def endpoints(self) -> list[str]:
        """The model servers that the settings name."""
        return sorted(settings.ENDPOINTS)

    @property
    def ticked(self) -> list[str]:
        """The ready score sets chosen so far, as the form's values."""
        return [str(value) for value in self["score_sets"].value() or []]

    def clean(self) -> dict[str, Any]:
        """Put the experts' names together, in the order shown; at least two, each once."""
        cleaned: dict[str, Any] = super().clean() or {}
        chosen = [score_set.expert for score_set in cleaned.get("score_sets") or []]
        typed = split_names(cleaned.get("other_experts", ""))
        experts = list(dict.fromkeys([*chosen, *typed]))
        if len(experts) < 2 and not self.has_error("score_sets"):
            self.add_error(
                "score_sets", f"An audit needs two or more experts; {len(experts)} chosen."
            )
        cleaned["experts"] = experts
        return cleaned

    def estimate(self) -> Estimate | None:
        """Return what the audit would cost as far as the form is filled in, valid or not."""
        if self.chosen is None:
            return None
        ready = self.chosen.score_sets.filter(state=ScoreSet.State.READY)
        names = {str(pk): expert for pk, expert in ready.values_list("pk", "expert")}
        chosen = {names[value] for value in self.ticked if value in names}
        typed = set(split_names(str(self["other_experts"].value() or "")))
        n_new = len(typed - set(names.values()))
        n_items = self.chosen.n_items - self.chosen.n_quarantined
        return Estimate(
            n_items=n_items,
            n_experts=len(chosen | typed),
            n_new_experts=n_new,
            n_chunks=n_new * math.ceil(self.chosen.n_items / settings.CHUNK_ITEMS),
            n_bytes=n_new * self.chosen.n_items * self.chosen.n_classes * BYTES_PER_LOGIT,
        )


class QueueForm(forms.Form):
    """The queue explorer's filters. Anything unknown falls back to "all": links must not break."""

    method = forms.CharField(required=False, max_length=300)
    k = forms.IntegerField(required=False, min_value=1)
    bin = forms.IntegerField(required=False, min_value=1)
    n = forms.IntegerField(required=False, min_value=1)
    label = forms.IntegerField(required=False, min_value=0)
    proposed = forms.IntegerField(required=False, min_value=0)
    agree = forms.ChoiceField(
        required=False,
        choices=[("", "either way"), ("yes", "experts agree"), ("no", "experts differ")],
    )
    subject = forms.CharField(required=False, max_length=255)
    page = forms.IntegerField(required=False, min_value=1)


def split_names(text: str) -> list[str]:
    """Return the expert names in a text, separated by blanks, commas or line ends.

    A comma before ``key=`` belongs to the name: it starts an option.
    """
    return [name for name in re.split(r"(?:\s|,(?![a-z_]+=))+", text) if name]


def _find_dataset(datasets: Any, value: Any) -> Dataset | None:
    try:
        found: Dataset | None = datasets.filter(pk=value).first() if value else None
    except (TypeError, ValueError):
        return None
    return found


class ClassGapForm(forms.Form):
    """Which classes of which expert, and which first; what is left out has a default."""

    ANSWER, GIVEN = "answer", "given"
    SURE, GAP = "sure", "gap"
    DEFAULTS = {"expert": "0", "by": ANSWER, "order": SURE, "side": "", "least": "1", "q": ""}

    expert = forms.ChoiceField(label="expert")
    by = forms.ChoiceField(
        label="classes by", choices=[(ANSWER, "the expert's answer"), (GIVEN, "the given label")]
    )
    order = forms.ChoiceField(
        label="worst first by", choices=[(SURE, "the sure part of the gap"), (GAP, "the gap")]
    )
    side = forms.ChoiceField(
        label="show",
        required=False,
        choices=[("", "all"), ("over", "overconfident"), ("under", "underconfident")],
    )
    least = forms.IntegerField(label="with items, at least", min_value=1, max_value=10**9)
    q = forms.CharField(label="class", max_length=200, required=False)

    def __init__(self, data: Any, *, audit: Audit) -> None:
        given = {name: data[name] for name in self.DEFAULTS if data.get(name)}
        super().__init__(self.DEFAULTS | given, auto_id="gaps-%s", label_suffix="")
        field = self.fields["expert"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - declared above
        experts = audit.experts.select_related("score_set").order_by("order")
        field.choices = [(str(place), each.name) for place, each in enumerate(experts)]

    def passes(self, name: str, count: int, gap: float) -> bool:
        """Whether a class is among those that are wanted."""
        said = self.cleaned_data
        sides = {"over": gap > 0, "under": gap < 0}
        return (
            count >= said["least"]
            and sides.get(said["side"], True)
            and said["q"].casefold() in name.casefold()
        )
