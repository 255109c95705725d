"""Questions per second of a language model expert beside a plain loop and lm-evaluation-harness.

One random model of 24.7 million parameters, questions as long as MMLU's, the same tokens for all,
one thread each: what is measured is seconds of one core, so that a busy machine changes little.
lm-evaluation-harness is left out where it isn't installed (``pip install lm-eval``).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from scoring.experts import Question, SolvedQuestion, load_expert
from scoring.experts.options import QuestionOptions, read_question_options
from tests.language_models import train_tokenizer, write_language_model

# A vocabulary as large as real models', as SmolLM2 has it, of which the tokenizer uses a part.
SIZE = {
    "vocab_size": 49_152,
    "hidden_size": 256,
    "intermediate_size": 1088,
    "num_hidden_layers": 11,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "tie_word_embeddings": True,
    "max_position_embeddings": 4096,
}
N_TOKENS = 5000
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
Predict = Callable[[Sequence[Question]], np.ndarray]

CASES = {  # what to print: how the questions are asked, how many times faster than peers
    "letters, five-shot": ("shots=5", 5.0),
    "letters, zero-shot": ("shots=0", 2.0),
    "text, zero-shot": ("scoring=text", 2.0),
}
N_SUBJECTS = 2
LETTERS = "ABCD"


def list_sentences() -> list[str]:
    """Return English sentences that every Python brings along: its own manual."""
    from pydoc_data.topics import topics

    text = " ".join(" ".join(topics[name].split()) for name in sorted(topics))
    return [sentence for sentence in text.split(". ") if 40 < len(sentence) < 400]


def make_questions(n_questions: int) -> list[Question]:
    """Return questions of MMLU's lengths: about a hundred tokens, seven hundred with examples."""
    sentences = list_sentences()
    rng = np.random.default_rng(0)

    def text() -> str:
        return ". ".join(rng.choice(sentences, rng.integers(1, 4)))

    def choices() -> tuple[str, ...]:
        return tuple(
            " ".join(str(rng.choice(sentences)).split()[: rng.integers(2, 12)]) for _ in LETTERS
        )

    examples = [
        tuple(SolvedQuestion(text(), choices(), int(rng.integers(4))) for _ in range(5))
        for _ in range(N_SUBJECTS)
    ]
    per_subject = -(-n_questions // N_SUBJECTS)
    return [
        Question(
            text(),
            choices(),
            f"subject_{number // per_subject}",
            "",
            examples[number // per_subject],
        )
        for number in range(n_questions)
    ]


def write_model(folder: Path) -> Path:
    """Write the random model, and a tokenizer that reads English in words and their parts."""
    tokenizer = train_tokenizer(N_TOKENS, tuple(list_sentences()))
    return write_language_model(folder, "llama", tokenizer=tokenizer, **SIZE)


def load_ours(folder: Path, options: str) -> Predict:
    return load_expert(f"transformers:{folder},{options}").predict


def load_naive(folder: Path, options: str, precision: str = "float32") -> Predict:
    """Return what a short script does: one text, one forward pass."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, precision)).eval()
    asked = read_options(options)
    letters = [tokenizer(f"Answer: {letter}")["input_ids"][-1] for letter in LETTERS]

    def forward(text: str) -> tuple[list[int], torch.Tensor]:
        ids = tokenizer(text)["input_ids"]
        with torch.inference_mode():
            return ids, model(torch.tensor([ids])).logits[0]

    def score(question: Question) -> list[float]:
        text = asked.prompt.write_prompt(question, asked.shots, asked.scoring)
        if asked.scoring == "letters":
            return forward(text)[1][-1, letters].tolist()
        n_before, row = len(tokenizer(text)["input_ids"]), []
        for choice in question.choices:
            ids, logits = forward(f"{text} {choice}")
            likely = logits.log_softmax(-1)
            places = range(n_before, len(ids))
            row.append(float(np.mean([float(likely[at - 1, ids[at]]) for at in places])))
        return row

    return lambda questions: np.array([score(each) for each in questions])


def load_lm_eval(folder: Path, options: str) -> Predict:
    """Return lm-evaluation-harness's own way, with the same prompts and batches of eight."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    model = HFLM(pretrained=str(folder), batch_size=8, device="cpu", dtype="float32")
    asked = read_options(options)

    def predict(questions: Sequence[Question]) -> np.ndarray:
        requests = [
            Instance("loglikelihood", {}, (text, answer), 0)
            for each in questions
            for text in [asked.prompt.write_prompt(each, asked.shots, asked.scoring)]
            for answer in asked.prompt.write_answers(each.choices, asked.scoring)
        ]
        said = model.loglikelihood(requests, disable_tqdm=True)
        return np.array([value for value, _greedy in said]).reshape(len(questions), len(LETTERS))

    return predict


def read_options(options: str) -> QuestionOptions:
    return read_question_options(dict([options.split("=")]))


WAYS: dict[str, Callable[[Path, str], Predict]] = {
    "ours": load_ours,
    "naive": load_naive,
    "lm_eval": load_lm_eval,
}
EXACT = "exact"
N_EXACT = 16
"""So many questions are also read one by one in float64, to see what float32 itself costs."""


def run_way(way: str, folder: Path, options: str, n_questions: int) -> None:
    """Run one way, print its questions per second as JSON and keep what it answered."""
    questions = make_questions(n_questions)
    ways = WAYS | {EXACT: partial(load_naive, precision="float64")}
    predict = ways[way](folder / "model", options)
    if way == EXACT:
        questions = questions[:N_EXACT]
    predict(make_questions(2 * N_SUBJECTS))
    started = time.process_time()
    answers = predict(questions)
    seconds = time.process_time() - started
    np.save(folder / f"{way} {options}.npy", answers)
    sys.stdout.write(json.dumps({"rate": n_questions / seconds}) + "\n")


def measure(folder: Path, n_questions: int, n_runs: int) -> dict[tuple[str, str], float]:
    """Return the median rate by way and case, the ways taking turns."""
    ways = [way for way in WAYS if way != "lm_eval" or find_spec("lm_eval")]
    rates: dict[tuple[str, str], list[float]] = {}
    for _ in range(n_runs):
        for case, (options, _goal) in CASES.items():
            for way in ways:
                rate = start_way(way, folder, options, n_questions)
                rates.setdefault((way, case), []).append(rate)
    return {key: statistics.median(values) for key, values in rates.items()}


def start_way(way: str, folder: Path, options: str, n_questions: int) -> float:
    """Run one way in a process of its own; return its rate."""
    arguments = ["--way", way, str(folder), options, f"--questions={n_questions}"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.language", *arguments],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    rate: float = json.loads(done.stdout.splitlines()[-1])["rate"]
    return rate


def describe_differences(folder: Path, options: str, n_questions: int) -> str:
    """Say how far the answers are from those one by one, and how far either is from float64."""
    start_way(EXACT, folder, options, n_questions)
    ours, naive, exact = (
        np.load(folder / f"{way} {options}.npy") for way in ("ours", "naive", EXACT)
    )
    from_naive = np.abs(ours - naive).max()
    rounding = [np.abs(each[: len(exact)] - exact).max() for each in (ours, naive)]
    return (
        f"  largest difference of logits from one by one: {from_naive:.1e}; "
        f"from float64: {rounding[0]:.1e}, one by one {rounding[1]:.1e}"
    )


def report_language(n_questions: int, n_runs: int) -> list[str]:
    """Measure and return the table, one line an entry."""
    title = "questions per second of one core, 24.7 M parameters"
    lines = [f"{title:52}{'ours':>8}{'peer':>8}{'ratio':>8}"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_model(folder / "model")
        rates = measure(folder, n_questions, n_runs)
        for case, (options, goal) in CASES.items():
            for way, peer in (("naive", "one text, one forward pass"), ("lm_eval", "lm-eval")):
                if (way, case) not in rates:
                    continue
                ours, theirs = rates["ours", case], rates[way, case]
                verdict = "met" if ours / theirs >= goal else "MISSED"
                lines.append(
                    f"{f'{case}: {peer}':52}{ours:8.1f}{theirs:8.1f}{ours / theirs:8.2f}"
                    f"  >= {goal:.0f}  {verdict}"
                )
            lines.append(describe_differences(folder, options, n_questions))
    if find_spec("lm_eval") is None:
        lines.append("lm-evaluation-harness is not installed: left out")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.language")
    parser.add_argument("--questions", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--way", nargs=3, metavar=("WAY", "FOLDER", "OPTIONS"), help="run one only")
    given = parser.parse_args()
    if given.way:
        way, folder, options = given.way
        run_way(way, Path(folder), options, given.questions)
        return
    lines = report_language(given.questions, given.rounds)
    sys.stdout.write("".join(f"{line}\n" for line in ["", *lines]))


if __name__ == "__main__":
    main()
