"""Votes from outside: public annotations, planted truths, judge models. Never people's verdicts."""

from __future__ import annotations

from django.db import models

from audit.models import Dataset, Item

JUDGE_PREFIX = "judge-"
"""What the names of judge models' sources begin with; no other source's may."""


class QuestionVerdict(models.TextChoices):
    """What can be said about the key of a multiple-choice question (MMLU-Redux's classes)."""

    LABEL_CORRECT = "label_correct", "Key correct"
    WRONG_GROUND_TRUTH = "wrong_ground_truth", "Wrong key"
    MULTIPLE_CORRECT = "multiple_correct", "Several correct answers"
    NO_CORRECT = "no_correct", "No correct answer"
    BAD_QUESTION_CLARITY = "bad_question_clarity", "Unclear question"
    BAD_OPTIONS_CLARITY = "bad_options_clarity", "Unclear options"
    UNSURE = "unsure", "Unsure"


KEY_CHANGES = frozenset(
    {
        QuestionVerdict.WRONG_GROUND_TRUTH,
        QuestionVerdict.MULTIPLE_CORRECT,
        QuestionVerdict.NO_CORRECT,
    }
)
"""Verdicts by which the published key is not the one right answer: they need a source."""

UNCLEAR = frozenset({QuestionVerdict.BAD_QUESTION_CLARITY, QuestionVerdict.BAD_OPTIONS_CLARITY})
"""Verdicts by which there is no telling whether the key is right."""


class VoteSource(models.Model):
    """A named outside source of votes on one data set.

    A file's votes come all at once; a judge model's grow until every item asked for has one.
    """

    class Kind(models.TextChoices):
        """Where the votes come from."""

        IMPORTED = "imported", "imported from a file"
        JUDGE = "judge", "a judge model's replies"

    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="vote_sources")
    name = models.SlugField()
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.IMPORTED)
    parameters = models.JSONField(
        default=dict, blank=True, help_text="How a judge is asked: endpoint, model, prompt, limit."
    )
    n_votes = models.PositiveIntegerField(default=0)
    n_items = models.PositiveIntegerField(default=0)
    knows_annotators = models.BooleanField(
        default=True, help_text="Whether an annotator's name is one person on all items."
    )
    sha256 = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["dataset", "name"]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "name"], name="one_source_per_name")
        ]

    def __str__(self) -> str:
        return self.name


class Vote(models.Model):
    """One outside annotator's word on one item: the labels that hold, a verdict, or both.

    With both, the verdict says by which policy the given label is an error, the labels say which
    answers are right.
    """

    source = models.ForeignKey(VoteSource, on_delete=models.CASCADE, related_name="votes")
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="votes")
    annotator = models.CharField(max_length=120)
    labels = models.JSONField(null=True, blank=True)
    verdict = models.CharField(max_length=24, blank=True)
    reply = models.TextField(blank=True, help_text="A judge model's words, as they came.")

    class Meta:
        ordering = ["source", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["source", "item", "annotator"], name="one_vote_per_outside_annotator"
            ),
            models.CheckConstraint(
                condition=models.Q(labels__isnull=False) | ~models.Q(verdict=""),
                name="labels_or_a_verdict",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.annotator} on {self.item}"
