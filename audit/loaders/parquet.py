"""Multiple-choice questions in parquet files, as the hub keeps them: ``SPLIT-00000-of-00001``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from audit.loaders.base import LoadedDataset, ProblemList, refuse
from audit.loaders.hf_tables import check_arrow, read_batch
from audit.loaders.question_files import QuestionFile, load_questions
from audit.loaders.question_records import has_questions
from audit.loaders.rows import MAX_COLUMNS, Row
from audit.loaders.splits import EXAMPLES, choose_split, group_by_split, split_of

MAX_BYTES = 2 << 30  # MMLU's test split has seven million
ROWS_PER_READ = 256


def find_parquet(path: Path) -> list[Path]:
    """Return the parquet file at ``path``, or those in it or in its folder ``data``."""
    if path.is_file():
        return [path]
    return sorted(path.glob("*.parquet")) or sorted((path / "data").glob("*.parquet"))


def load_parquet(path: Path, files: Sequence[Path], split: str | None) -> LoadedDataset:
    """Read the questions of a split: the only one, else ``test``."""
    splits = {split_of(path): [path]} if path.is_file() else group_by_split(files)
    name = choose_split(splits, split, path)
    examples = splits.get(EXAMPLES, []) if name != EXAMPLES else []
    return load_questions(path, name, _open(splits[name]), _open(examples))


def _open(paths: Sequence[Path]) -> list[QuestionFile]:
    return [QuestionFile(path.name, partial(_read, path)) for path in paths]


def _read(path: Path, problems: ProblemList) -> Iterator[Row]:
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            _check(path, file)
            for batch in file.iter_batches(ROWS_PER_READ):
                check_arrow(path.name, batch)
                yield from read_batch(batch, number, problems)
                number += batch.num_rows
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise refuse("format", f"{path.name} is no sound parquet file: {error}") from error


def _check(path: Path, file: pq.ParquetFile) -> None:
    metadata = file.metadata
    if metadata.num_columns > MAX_COLUMNS:
        message = f"{metadata.num_columns} columns, at most {MAX_COLUMNS} are read"
        raise refuse("too_many_columns", message)
    n_bytes = sum(metadata.row_group(n).total_byte_size for n in range(metadata.num_row_groups))
    if n_bytes > MAX_BYTES:
        raise refuse("bomb", f"{path.name} unpacks to {n_bytes:,} bytes")
    names = file.schema_arrow.names
    repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if repeated:
        raise refuse("duplicate_column", f"{path.name}: {repeated[0][:60]!a} is there twice")
    if not has_questions(names):
        message = f"{path.name} has no question with its choices among: {', '.join(names)}"
        raise refuse("missing_column", message)
