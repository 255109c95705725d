"""What a maintainer chooses to have experts measured: the pair, the labels, how to calibrate."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django import forms
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

from audit.models import Audit, Dataset, Role, ScoreSet
from reviews.cascade_experts import known_calibrators
from reviews.cascade_halves import Order
from reviews.class_order import compare_classes
from reviews.evaluation_labels import CLEANED, GIVEN, RELEASE, VOTES, list_labels
from reviews.models import Policy
from reviews.policies import list_policies
from reviews.second_pass import SecondOrder

MOST_BINS = 500
CALIBRATORS = {
    "temperature": "temperature",
    "platt": "Platt",
    "histogram": "histogram",
    "isotonic": "isotonic",
    "vector": "vector",
    "none": "none (raw)",
}


class CascadeForm(forms.Form):
    """A pair of experts, and what it is fitted and measured on."""

    small = forms.ChoiceField(label="small expert")
    large = forms.ChoiceField(label="large expert")
    labels = forms.ChoiceField(label="measured by")
    policy = forms.ChoiceField(label="policy")
    calibrator = forms.ChoiceField(label="calibrator")
    n_bins = forms.IntegerField(label="bins", min_value=1, max_value=MOST_BINS, initial=15)
    test_dataset = forms.ChoiceField(label="measured on", required=False)

    def __init__(
        self, data: Any = None, *, audit: Audit, user: AbstractBaseUser | AnonymousUser, **own: Any
    ) -> None:
        super().__init__(data, auto_id="cascade-%s", label_suffix="", **own)
        self.dataset = audit.dataset
        score_sets = list(find_score_sets(audit.dataset))
        names = [each.expert for each in score_sets]
        set_choices(self, "small", [(name, name) for name in names])
        set_choices(self, "large", [(name, name) for name in names])
        if len(names) > 1:
            self.fields["large"].initial = names[1]
        set_choices(
            self, "labels", [(name, write_labels(name)) for name in list_labels(audit.dataset)]
        )
        set_choices(
            self, "policy", [(name, name) for name in list_policies(audit.dataset.project_id)]
        )
        self.fields["policy"].initial = Policy.LENIENT.value
        suiting = known_calibrators(score_sets)
        set_choices(self, "calibrator", [(name, CALIBRATORS[name]) for name in suiting])
        self.others = {each.slug: each for each in find_test_datasets(audit.dataset, user, names)}
        elsewhere = [(slug, f"all of {slug}") for slug in self.others]
        set_choices(self, "test_dataset", [("", "the held-out half"), *elsewhere])

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        if said.get("small") and said.get("small") == said.get("large"):
            raise forms.ValidationError("The two experts of a cascade must differ.")
        if said.get("test_dataset") and said.get("labels", GIVEN) != GIVEN:
            raise forms.ValidationError(
                "On another data set its given labels count: cleaned ones are of this data set."
            )
        if (other := self.others.get(said.get("test_dataset", ""))) is not None:
            mismatch = compare_classes(self.dataset, other)
            if mismatch and mismatch.is_reordered:
                self.add_error("test_dataset", f"Its classes are numbered otherwise: {mismatch}.")
        return said

    @property
    def order(self) -> Order:
        """What was chosen, once it is valid."""
        said = {**self.cleaned_data}
        said.pop("test_dataset")
        return Order(**said)

    @property
    def other_dataset(self) -> Dataset | None:
        """The data set to measure on, where it isn't the audit's own."""
        return self.others.get(self.cleaned_data["test_dataset"])


def set_choices(form: forms.Form, name: str, choices: list[tuple[str, str]]) -> None:
    """Offer these choices in a field of the form."""
    field = form.fields[name]
    assert isinstance(field, forms.ChoiceField)  # noqa: S101 - the forms here declare it as one
    field.choices = choices


def find_score_sets(dataset: Dataset) -> list[ScoreSet]:
    """Return the finished scores of a data set, by the experts' names."""
    ready = dataset.score_sets.filter(state=ScoreSet.State.READY)
    return list(ready.order_by("expert"))


def find_test_datasets(
    dataset: Dataset, user: AbstractBaseUser | AnonymousUser, experts: list[str]
) -> list[Dataset]:
    """Return the person's other data sets of as many classes that two of the experts scored."""
    datasets = Dataset.objects.open_to(user, at_least=Role.MAINTAINER)
    others = datasets.filter(n_classes=dataset.n_classes).exclude(pk=dataset.pk).order_by("slug")
    scored = Counter(
        ScoreSet.objects.filter(
            dataset__in=others, expert__in=experts, state=ScoreSet.State.READY
        ).values_list("dataset_id", flat=True)
    )
    return [other for other in others if scored[other.pk] > 1]


def write_labels(name: str) -> str:
    """Return the name of labels in words."""
    if name.startswith(CLEANED):
        return f"labels cleaned in audit {name.removeprefix(CLEANED)}, so far"
    if name.startswith(RELEASE):
        audit, _, number = name.removeprefix(RELEASE).partition("/")
        return f"release {number} of audit {audit}"
    if name.startswith(VOTES):
        return f"votes of {name.removeprefix(VOTES)}"
    return "given labels"


class SecondPassForm(forms.Form):
    """Which labels every expert is measured on once more."""

    labels = forms.ChoiceField(label="cleaned labels")
    policy = forms.ChoiceField(label="policy")
    calibrator = forms.ChoiceField(label="calibrator", choices=list(CALIBRATORS.items()))
    n_bins = forms.IntegerField(label="bins", min_value=1, max_value=MOST_BINS, initial=15)

    def __init__(self, data: Any = None, *, audit: Audit, **own: Any) -> None:
        super().__init__(data, auto_id="second-%s", label_suffix="", **own)
        names = [name for name in list_labels(audit.dataset) if name != GIVEN]
        self.has_labels = bool(names)
        set_choices(self, "labels", [(name, write_labels(name)) for name in names])
        policies = list_policies(audit.dataset.project_id)
        set_choices(self, "policy", [(name, name) for name in policies])

    @property
    def order(self) -> SecondOrder:
        """What was chosen, once it is valid."""
        return SecondOrder(**self.cleaned_data)
