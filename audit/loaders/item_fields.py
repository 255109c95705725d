"""Fields that items of every row format have: a key of their own, and short texts."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from audit.loaders.base import ProblemList
from audit.loaders.class_names import find_name_fault
from audit.loaders.rows import Row

MAX_KEY_CHARACTERS = 512
MAX_SUBJECT_CHARACTERS = 255


@dataclass(slots=True)
class KeyReader:
    """Checks keys and remembers them: two that look alike are one."""

    rows_of_keys: dict[str, int] = field(default_factory=dict)

    def check(self, number: int, key: Any, problems: ProblemList) -> bool:
        """Return whether ``key`` may stand for the item of row ``number``, or note the problem."""
        if not isinstance(key, str):
            problems.add(number, "key", "key", f"{ascii(key)[:60]} is not text")
            return False
        if fault := find_name_fault(key, MAX_KEY_CHARACTERS):
            problems.add(number, "key", "key", f"{key[:60]!a} {fault}")
            return False
        looks = key if key.isascii() else unicodedata.normalize("NFC", key)
        earlier = self.rows_of_keys.setdefault(looks, number)
        if earlier != number:
            problems.add(number, "key", "dup_id", f"{key[:60]!a} is also in row {earlier}")
        return earlier == number


def read_texts(row: Row, columns: Sequence[str], problems: ProblemList) -> dict[str, str] | None:
    """Return the row's ``columns`` as text, empty where it has none; None after a problem."""
    texts: dict[str, str] = {}
    for column in columns:
        value = row.fields.get(column, "")
        if not isinstance(value, str):
            problems.add(row.number, column, "text", f"{ascii(value)[:60]} is not text")
            return None
        texts[column] = value
    if "image" in row.fields and not texts["image"]:
        problems.add(row.number, "image", "missing_image", "no image path")
        return None
    if len(texts["subject"]) > MAX_SUBJECT_CHARACTERS:
        message = f"over {MAX_SUBJECT_CHARACTERS} characters"
        problems.add(row.number, "subject", "field_too_long", message)
        return None
    return texts
