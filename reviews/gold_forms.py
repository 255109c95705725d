"""What an admin fills in about items whose answer is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms

from audit.models import Audit, Dataset, Item
from reviews.models import (
    MOST_TRAINING,
    RULINGS,
    KnownItem,
    QualityPlan,
    QuestionVerdict,
    Verdict,
    VoteSource,
)
from reviews.services.known_items import MOST_AT_ONCE, Known

if TYPE_CHECKING:
    PlanBase = forms.ModelForm[QualityPlan]
else:  # Django's own takes no brackets
    PlanBase = forms.ModelForm

UNSURE = {Verdict.UNSURE, QuestionVerdict.UNSURE}


class PlanForm(PlanBase):
    """How much gold, and how long a training."""

    gold_share = forms.FloatField(
        label="share of gold", min_value=0, max_value=0.5, step_size=0.01,
        help_text="0 to .5, of all that an annotator is shown",
    )  # fmt: skip
    n_training = forms.IntegerField(
        label="training items", min_value=0, max_value=MOST_TRAINING,
        help_text="at the start, with the answer after each; 0 for none",
    )  # fmt: skip

    class Meta:
        model = QualityPlan
        fields = ("gold_share", "n_training")


class TakeForm(forms.Form):
    """Take known items at random: from what is decided here, or from an outside source."""

    use = forms.ChoiceField(label="as", choices=KnownItem.Use.choices)
    n_items = forms.IntegerField(label="how many", min_value=1, max_value=MOST_AT_ONCE, initial=30)

    def __init__(self, data: Any = None, *, audit: Audit) -> None:
        super().__init__(data, auto_id="take-%s")
        sources = VoteSource.objects.filter(dataset=audit.dataset_id).order_by("name")
        named = [(source.name, f"votes of {source.name}") for source in sources]
        self.fields["take_from"] = forms.ChoiceField(
            label="take", required=False, choices=[("", "adjudicated items"), *named]
        )
        self.order_fields(["take_from"])


class HandForm(forms.Form):
    """One item with the answer that an admin knows."""

    key = forms.CharField(label="item's key", max_length=1000)
    use = forms.ChoiceField(label="as", choices=KnownItem.Use.choices)
    corrected_label = forms.IntegerField(
        label="right class, its number", required=False, min_value=0
    )
    why = forms.CharField(
        label="why", required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 2})
    )

    def __init__(self, data: Any = None, *, audit: Audit) -> None:
        super().__init__(data, auto_id="hand-%s")
        self.audit = audit
        is_question = audit.dataset.kind == Dataset.Kind.MULTIPLE_CHOICE
        verdicts = QuestionVerdict.choices if is_question else RULINGS
        sure = [choice for choice in verdicts if choice[0] not in UNSURE]
        self.fields["verdict"] = forms.ChoiceField(label="answer", choices=sure)
        self.order_fields(["key", "use", "verdict"])

    def clean_key(self) -> Item:
        key = self.cleaned_data["key"]
        item = self.audit.dataset.items.usable().filter(key=key).first()
        if item is None:
            raise forms.ValidationError(f"No usable item has the key {key!r}.")
        return item

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        label, item = values.get("corrected_label"), values.get("key")
        if label is None or item is None:
            return values
        if values.get("verdict") == Verdict.LABEL_CORRECT:
            self.add_error("corrected_label", "A correct label has no other right class.")
        elif label >= self.audit.dataset.n_classes or label == item.given_label:
            last = self.audit.dataset.n_classes - 1
            self.add_error("corrected_label", f"A class from 0 to {last} other than the given.")
        return values

    @property
    def known(self) -> Known:
        values = self.cleaned_data
        return Known(values["key"].pk, values["verdict"], values["corrected_label"], values["why"])
