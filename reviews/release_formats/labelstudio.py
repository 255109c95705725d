"""Label Studio's JSON import: one task per item with the cleaned label as its annotation."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from reviews.release_formats.base import (
    FormatRefusedError,
    LabelRow,
    ReleaseFolder,
    Source,
    Writer,
)

LOCAL_FILES = "/data/local-files/?d="


class Tasks(Writer):
    """``labelstudio.json`` and ``labelstudio_config.xml``, the labelling set-up it belongs to.

    Pictures are addressed as Label Studio's local files, by their path below the data set's root.
    An excluded item comes without an annotation: it waits to be labelled.
    """

    @classmethod
    def check(cls, source: Source) -> None:
        if not source.has_questions and not source.dataset.has_pictures:
            raise FormatRefusedError("labelstudio shows pictures; this data set has none here")
        if source.has_pictures_in_archives:
            raise FormatRefusedError("labelstudio reads picture files; these lie inside archives")

    def __init__(self, source: Source, folder: ReleaseFolder) -> None:
        self._names, self._has_questions = source.names, source.has_questions
        config = _describe_questions if source.has_questions else _describe_pictures
        folder.open_text("labelstudio_config.xml").write(config(source.names))
        self._text = folder.open_text("labelstudio.json")
        self._separator = "["

    def add(self, row: LabelRow) -> None:
        labels = row.decision.labels
        task: dict[str, Any] = {
            "data": self._show(row),
            "annotations": [{"result": [self._choose(labels)]}] if labels else [],
        }
        self._text.write(f"{self._separator}\n{json.dumps(task, ensure_ascii=False)}")
        self._separator = ","

    def close(self) -> None:
        self._text.write("[]\n" if self._separator == "[" else "\n]\n")

    def _show(self, row: LabelRow) -> dict[str, Any]:
        given = {
            "key": row.key,
            "given_label": self._names[row.given_label],
            "action": row.decision.action.value,
        }
        if not self._has_questions:
            return {"image": LOCAL_FILES + quote(row.image), **given}
        letters = zip(self._names, row.choices, strict=False)
        options = "\n".join(f"{letter}. {choice}" for letter, choice in letters)
        return {"question": row.question, "options": options, **given}

    def _choose(self, labels: list[int]) -> dict[str, Any]:
        return {
            "from_name": "label",
            "to_name": "question" if self._has_questions else "image",
            "type": "choices",
            "value": {"choices": [self._names[label] for label in labels]},
        }


def _describe_pictures(names: Any) -> str:
    return _describe('<Image name="image" value="$image"/>', "image", names)


def _describe_questions(names: Any) -> str:
    shown = '<Text name="question" value="$question"/>\n  <Text name="options" value="$options"/>'
    return _describe(shown, "question", names)


def _describe(shown: str, target: str, names: Any) -> str:
    choices = "\n".join(f"    <Choice value={quoteattr(name)}/>" for name in names)
    return (
        f'<View>\n  {shown}\n  <Choices name="label" toName="{target}" choice="multiple">\n'
        f"{choices}\n  </Choices>\n</View>\n"
    )
