"""Has a language model write an answer to every task of a data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from audit.answer_files import AnswerFile, AnswerFileError
from audit.management.base import AuditCommand, find_dataset
from audit.models import Dataset, Item
from audit.services.endpoints import endpoints_for
from audit.services.scores import models_folder
from scoring.experts.base import (
    ExpertRefused,
    ExpertUnavailable,
    InputProblem,
    UnknownExpertError,
)
from scoring.experts.writers import WRITING_PROMPTS, AnswerWriter, load_writer, write_prompt

AT_A_TIME = 64


class Command(AuditCommand):
    help = "Have a language model answer every task in writing; run again, it goes on."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("dataset")
        parser.add_argument("expert", help="transformers:MODEL or endpoint:NAME.")
        parser.add_argument("--out", type=Path, required=True, help="A file of JSON lines.")
        parser.add_argument("--prompt", choices=WRITING_PROMPTS, default="number-1")
        parser.add_argument("--max-tokens", type=int, default=512)

    def handle(self, **options: Any) -> None:
        dataset, expert = find_dataset(options["dataset"]), options["expert"]
        if dataset.kind == Dataset.Kind.IMAGE:
            raise CommandError(f"{dataset} holds pictures: there is nothing to write about")
        if not 1 <= options["max_tokens"] <= 100_000:
            raise CommandError(f"--max-tokens is from 1 to 100000, not {options['max_tokens']}")
        facts = {
            "expert": expert,
            "prompt": options["prompt"],
            "max_tokens": options["max_tokens"],
        }
        file = AnswerFile(options["out"], facts)
        try:
            answered = file.answered()
            items = [item for item in dataset.items.usable() if item.key not in answered]
            writer = load_writer(
                expert, weights_root=models_folder(), endpoints=endpoints_for(expert)
            )
            n_empty = self._write(file, writer, items, options)
        except (AnswerFileError, ExpertRefused, UnknownExpertError) as error:
            raise CommandError(str(error)) from error
        except ExpertUnavailable as error:
            raise CommandError(f"{error}; what was answered is kept, run it again") from error
        document = {
            "dataset": dataset.slug,
            **facts,
            "answered": len(items),
            "answers": len(answered) + len(items),
            "empty": n_empty,
            "out": str(file.path),
        }
        empty = f", {n_empty:,} of them empty" if n_empty else ""
        text = f"{expert}: {len(items):,} answers added to {file.path}{empty}"
        self.emit(options, document, text)

    def _write(
        self, file: AnswerFile, writer: AnswerWriter, items: Sequence[Item], options: dict[str, Any]
    ) -> int:
        lines = answer_items(writer, items, options["prompt"], options["max_tokens"])
        n_empty = 0
        for done, line in enumerate(file.add(lines), start=1):
            n_empty += not line[writer.values]
            self.progress(f"{done:,} of {len(items):,} tasks", last=done == len(items))
        return n_empty


def answer_items(
    writer: AnswerWriter, items: Sequence[Item], prompt: str, max_tokens: int
) -> Iterator[dict[str, Any]]:
    """Yield a line for every item, in order; one without an answer says why."""
    for start in range(0, len(items), AT_A_TIME):
        some = items[start : start + AT_A_TIME]
        prompts = [write_prompt(prompt, item.question, item.choices) for item in some]
        for item, answer in zip(some, writer.write(prompts, max_tokens), strict=True):
            if isinstance(answer, InputProblem):
                why = f"{answer.code}: {answer.detail}"
                yield {"key": item.key, "answer": "", writer.values: [], "problem": why}
            else:
                values = list(answer.token_values)
                yield {"key": item.key, "answer": answer.text, writer.values: values}
