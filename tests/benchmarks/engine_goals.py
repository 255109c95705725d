"""Prints the engine's goals: overhead of a chunk, two workers against one, first results.

python -m tests.benchmarks.engine_goals [--quick] [--stack production embedded]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from tests.benchmarks.engine import installed, measure
from tests.benchmarks.goals import Goal
from tests.benchmarks.naive_engine import measure_naive

CHUNK_ITEMS = 1000
LONG_SECONDS = 0.25
OVERHEAD, OF_LONG, FIRST_WARM, FIRST_COLD, TWO_WORKERS = 0.005, 0.02, 1.0, 6.0, 1.8


def list_goals(stack: str, n_chunks: int, n_long: int) -> Iterator[Goal | str]:
    """Yield the figures of one stack as they are measured."""
    n_items, n_few = n_chunks * CHUNK_ITEMS, n_long * CHUNK_ITEMS
    with installed(stack, CHUNK_ITEMS) as installation:
        short = measure(installation, n_items, 1)
        yield str(short)
        naive = measure_naive(installation, n_items, CHUNK_ITEMS)
        yield Goal("overhead of a 1,000-item chunk: goal", short.overhead, OVERHEAD, 1.0)
        yield Goal("the same, of the processor: goal", short.processor, OVERHEAD, 1.0)
        whole = short.scored / short.n_chunks
        yield Goal("a whole chunk: naive Celery task, upsert", whole, naive, 2.0)
        one = measure(installation, n_few, 1, seconds=LONG_SECONDS)
        two = measure(installation, n_few, 2, seconds=LONG_SECONDS)
        yield Goal("overhead of a .25 s chunk: the chunk", one.overhead, one.in_expert, OF_LONG)
        yield Goal("two workers, .25 s a chunk: one", two.scored, one.scored, 1 / TWO_WORKERS)
        yield Goal("first result, worker warm: goal", one.first, FIRST_WARM, 1.0)
        cold = measure(installation, n_few, 1, seconds=LONG_SECONDS, is_cold=True)
        yield Goal("first result, worker cold: goal", cold.first, FIRST_COLD, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.engine_goals")
    stacks = ["production", "embedded"]
    parser.add_argument("--stack", nargs="+", choices=stacks, default=stacks)
    parser.add_argument("--quick", action="store_true", help="a few chunks")
    options = parser.parse_args()
    n_chunks, n_long = (20, 8) if options.quick else (200, 40)
    for stack in options.stack:
        sys.stdout.write(f"the engine, {stack} stack, {n_chunks} and {n_long} chunks\n")
        for line in list_goals(stack, n_chunks, n_long):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
