"""The table for people: what changes, in words, safe to open in a spreadsheet."""

from __future__ import annotations

from audit.spreadsheets import neutralise
from reviews.decisions import WORDS
from reviews.release_formats.base import ADJUDICATOR, LabelRow, ReleaseFolder, Source, Writer

COLUMNS = ("item", "given label", "becomes", "also shows", "what happens", "why", "votes")


class ChangeTable(Writer):
    """``changes.csv``: changed and undecided items by name, with every vote in words."""

    def __init__(self, source: Source, folder: ReleaseFolder) -> None:
        self._names, self._pseudonyms = source.names, source.pseudonyms
        self._table = folder.open_table("changes.csv", COLUMNS)

    def add(self, row: LabelRow) -> None:
        decision = row.decision
        if not (decision.is_change or decision.is_undecided):
            return
        cleaned = decision.cleaned_label
        said = [(self._pseudonyms[vote.annotator], vote) for vote in row.votes]
        said += [(ADJUDICATOR, row.ruling)] if row.ruling else []
        votes = "; ".join(
            f"{name}: {WORDS[vote.verdict].lower()}"
            + "".join(f" ({self._names[label]})" for label in sorted(vote.names(row.given_label)))
            for name, vote in said
        )
        cells = (
            row.key,
            self._names[row.given_label],
            "" if cleaned is None else self._names[cleaned],
            ", ".join(self._names[label] for label in decision.also_labels),
            decision.action.value.replace("_", " "),
            decision.reason or WORDS.get(decision.verdict, ""),
            votes,
        )
        self._table.writerow([neutralise(cell) for cell in cells])
