"""Tables for machines: every item with its label, the votes, and the patch of what changed."""

from __future__ import annotations

from datetime import UTC

from reviews.release_formats.base import (
    ADJUDICATOR,
    LabelRow,
    ReleaseFolder,
    Source,
    Writer,
    join,
    without_addresses,
)

LABEL_COLUMNS = (
    *("key", "given_label", "given_name", "cleaned_label", "cleaned_name"),
    *("also_labels", "action", "verdict", "n_votes", "reason"),
)
VOTE_COLUMNS = (
    *("key", "judgment", "annotator", "verdict", "corrected_label", "labels", "decided_at"),
    *("source", "derivation_given"),
)
UNDECIDED_COLUMNS = ("key", "given_label", "reason", "judgments")
PATCH_COLUMNS = ("key", "given_label", "cleaned_label", "also_labels", "action", "judgments")


class LabelTable(Writer):
    """``labels.csv``: every item of the data set, in its order, and what became of it."""

    def __init__(self, source: Source, folder: ReleaseFolder) -> None:
        self._names = {each.index: each.name for each in source.classes}
        self._table = folder.open_table("labels.csv", LABEL_COLUMNS)

    def add(self, row: LabelRow) -> None:
        decision, names = row.decision, self._names
        cleaned = decision.cleaned_label
        self._table.writerow(
            (
                row.key,
                row.given_label,
                names.get(row.given_label, ""),
                "" if cleaned is None else cleaned,
                "" if cleaned is None else names.get(cleaned, ""),
                join(decision.also_labels),
                decision.action.value,
                decision.verdict,
                decision.n_votes,
                decision.reason,
            )
        )


class VoteTable(Writer):
    """``votes.csv``: every vote that counts and what adjudicators decided; nobody is named."""

    def __init__(self, source: Source, folder: ReleaseFolder) -> None:
        self._pseudonyms = source.pseudonyms
        self._table = folder.open_table("votes.csv", VOTE_COLUMNS)

    def add(self, row: LabelRow) -> None:
        for vote in row.votes:
            self._table.writerow(
                (
                    row.key,
                    vote.judgment,
                    self._pseudonyms[vote.annotator],
                    vote.verdict,
                    "" if vote.corrected_label is None else vote.corrected_label,
                    join(vote.labels),
                    vote.decided_at.astimezone(UTC).isoformat(timespec="microseconds"),
                    without_addresses(vote.source),
                    "yes" if vote.has_derivation else "",
                )
            )
        if ruling := row.ruling:
            self._table.writerow(
                (
                    row.key,
                    f"adjudication {ruling.judgment}",
                    ADJUDICATOR,
                    ruling.verdict,
                    "" if ruling.corrected_label is None else ruling.corrected_label,
                    "",
                    ruling.decided_at.astimezone(UTC).isoformat(timespec="microseconds"),
                    "",
                    "",
                )
            )


class Patch(Writer):
    """``patch.csv``: the items whose label changes, with the judgments behind each."""

    def __init__(self, _source: Source, folder: ReleaseFolder) -> None:
        self._table = folder.open_table("patch.csv", PATCH_COLUMNS)

    def add(self, row: LabelRow) -> None:
        if not row.decision.is_change:
            return
        cleaned = row.decision.cleaned_label
        self._table.writerow(
            (
                row.key,
                row.given_label,
                "" if cleaned is None else cleaned,
                join(row.decision.also_labels),
                row.decision.action.value,
                join([vote.judgment for vote in row.votes]),
            )
        )


class UndecidedTable(Writer):
    """``undecided.csv``: the items that the policy marks, as their votes settle nothing."""

    def __init__(self, _source: Source, folder: ReleaseFolder) -> None:
        self._table = folder.open_table("undecided.csv", UNDECIDED_COLUMNS)

    def add(self, row: LabelRow) -> None:
        if row.decision.is_undecided:
            judgments = join([vote.judgment for vote in row.votes])
            self._table.writerow((row.key, row.given_label, row.decision.reason, judgments))
