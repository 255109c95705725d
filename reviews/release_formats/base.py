"""What every format is given, and the folder its files go to: hashed while they are written."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audit.class_titles import tell_apart
from audit.durable_files import sync_folder
from audit.evidence import Evidence
from audit.image_files import is_piece
from audit.models import Audit, Dataset, DatasetClass
from reviews.decisions import Decision, StandingVote

BUFFER_BYTES = 1 << 16
ADDRESS = re.compile(r"[^\s<>@,;:]+@[^\s<>@,;:]+\.[^\s<>@,;:]+")
ADJUDICATOR = "adjudicator"  # what all of them are called: their decisions stand alone


class FormatRefusedError(ValueError):
    """The data set can't be written in this format; the message says why."""


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One item of the data set and what becomes of it; ``ruling``: what an adjudicator decided."""

    position: int
    item_pk: int
    key: str
    given_label: int
    decision: Decision
    votes: Sequence[StandingVote] = ()
    ruling: StandingVote | None = None
    image: str = ""
    width: int = 0
    height: int = 0
    content_sha256: str = ""
    is_quarantined: bool = False
    question: str = ""
    choices: Sequence[str] = ()
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """The audit whose labels are released, with what its formats look up.

    ``pseudonyms``: what each annotator is called; ``evidence`` is None where the audit's arrays
    are gone; ``experts`` in their order.
    """

    audit: Audit
    classes: Sequence[DatasetClass]
    experts: Sequence[str]
    pseudonyms: Mapping[int, str]
    evidence: Evidence | None
    names: Sequence[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tell_apart(self.classes))

    @property
    def dataset(self) -> Dataset:
        return self.audit.dataset

    @property
    def has_questions(self) -> bool:
        return self.dataset.kind == Dataset.Kind.MULTIPLE_CHOICE

    @property
    def has_pictures_in_archives(self) -> bool:
        """Whether the pictures are pieces of tar or Arrow files: no other reader finds them."""
        first = self.dataset.items.order_by("position").values_list("image", flat=True).first()
        return bool(first) and is_piece(str(first))


class HashedFile(io.RawIOBase):
    """A file being written, whose hash and size are known at the end."""

    def __init__(self, path: Path) -> None:
        self._stream = path.open("xb", buffering=0)
        self._hash = hashlib.sha256()
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        n_written = self._stream.write(content) or 0
        self._hash.update(memoryview(content)[:n_written])
        self._size += n_written
        return n_written

    def close(self) -> None:
        """Put the content on disk for good."""
        if not self.closed:
            os.fsync(self._stream.fileno())
            self._stream.close()
        super().close()

    def describe(self) -> dict[str, Any]:
        """Return what the manifest says about the file."""
        return {"sha256": self._hash.hexdigest(), "bytes": self._size}


class ReleaseFolder:
    """The files of one release, by their path below the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._hashed: dict[str, HashedFile] = {}
        self._open: list[io.IOBase] = []

    def open_binary(self, name: str) -> io.BufferedWriter[Any]:
        """Open a new file for bytes."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self._hashed[name] = HashedFile(path)
        stream: io.BufferedWriter[Any] = io.BufferedWriter(self._hashed[name], BUFFER_BYTES)
        self._open.append(stream)
        return stream

    def open_text(self, name: str) -> io.TextIOWrapper:
        """Open a new file for text: UTF-8, no mark, line ends as they are written."""
        stream = io.TextIOWrapper(self.open_binary(name), encoding="utf-8", newline="")
        self._open[-1] = stream
        return stream

    def open_table(self, name: str, columns: Sequence[str] = ()) -> Any:
        """Open a new CSV file and write its header, if it has one."""
        table = csv.writer(self.open_text(name), lineterminator="\n")
        if columns:
            table.writerow(columns)
        return table

    def close(self) -> None:
        """Put every file and name on disk for good."""
        for stream in self._open:
            stream.close()
        for folder in {(self.folder / name).parent for name in self._hashed}:
            sync_folder(folder)

    def abandon(self) -> None:
        """Let go of files that nobody will read, whatever state they are in."""
        for hashed in self._hashed.values():
            hashed.close()

    def describe(self) -> dict[str, dict[str, Any]]:
        """Return what the manifest says about every file, once all are closed."""
        return {name: file.describe() for name, file in sorted(self._hashed.items())}


class Writer(ABC):
    """One format being written, row by row in the data set's order."""

    @classmethod  # noqa: B027 - most can write any data set
    def check(cls, source: Source) -> None:
        """Raise ``FormatRefusedError`` where this data set can't be written so."""

    @abstractmethod
    def __init__(self, source: Source, folder: ReleaseFolder) -> None: ...

    @abstractmethod
    def add(self, row: LabelRow) -> None:
        """Write one item, or leave it out."""

    def close(self) -> None:  # noqa: B027 - most know nothing new at the end
        """Write what could only be known at the end."""


def join(values: Sequence[int]) -> str:
    """Return several numbers as one cell."""
    return ";".join(str(value) for value in values)


def without_addresses(text: str) -> str:
    """Return what somebody typed, such as a source, without e-mail addresses: nobody is named."""
    return ADDRESS.sub("[e-mail address]", text)
