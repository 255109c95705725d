"""Write the MMLU questions that lm-evaluation-harness brings along as a folder of MMLU's shape.

`.venv/bin/python -m pip install --no-deps lm-eval==0.4.13`, then
`.venv/bin/python docs/examples/write_mmlu_folder.py FOLDER`.

The harness packages five solved questions for each of MMLU's 57 subjects, as examples for its
chain-of-thought prompts. They are written as `test/SUBJECT_test.csv`: question, four choices,
letter. One question with five choices is left out, as MMLU has four.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

Row = tuple[str, ...]

QUESTION = re.compile(r"(.*?)\n\(A\) (.*)\s\(B\) (.*)\s\(C\) (.*)\s\(D\) (.*)", re.DOTALL)
ANSWER = re.compile(r"answer is \(([A-E])\)")
TASKS = Path("tasks", "mmlu", "flan_cot_fewshot")


def main() -> None:
    """Write the folder and say what is in it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder / "test"
    harness = find_spec("lm_eval")
    if harness is None or not harness.submodule_search_locations:
        sys.exit("lm-eval is not installed: pip install --no-deps lm-eval==0.4.13")
    folder.mkdir(parents=True, exist_ok=True)
    n_rows = n_left_out = 0
    for task in sorted(Path(harness.submodule_search_locations[0], TASKS).glob("mmlu_*.yaml")):
        document = yaml.safe_load(task.read_text(encoding="utf-8"))
        samples = document["fewshot_config"]["samples"]
        rows = list(read_rows(samples))
        n_rows += len(rows)
        n_left_out += len(samples) - len(rows)
        target = folder / f"{document['dataset_name']}_test.csv"
        with target.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
    sys.stdout.write(f"{n_rows} questions written, {n_left_out} left out: not four choices\n")


def read_rows(samples: list[dict[str, Any]]) -> Iterator[Row]:
    """Yield question, choices and letter of every sample with four choices."""
    for sample in samples:
        asked, said = QUESTION.fullmatch(sample["question"]), ANSWER.findall(sample["target"])
        if asked and said and said[-1] in "ABCD" and " (E) " not in asked[5]:
            yield (*asked.groups(), said[-1])


if __name__ == "__main__":
    main()
