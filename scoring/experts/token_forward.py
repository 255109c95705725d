"""Forward passes over questions that share their beginning: read once, reused, nothing recomputed.

What questions share (the description and the solved examples) is read once and its keys and values
are kept. Then every question reads only its own tokens; the choices of one question, where their
text is scored, stand side by side in one row and see the question but not each other. Only the
positions that count go through the output layer.
"""

from __future__ import annotations

import copy
import sys
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scoring.experts.base import ExpertRefused, Logits
from scoring.experts.devices import is_out_of_memory, release_memory
from scoring.experts.question_tokens import AskedQuestion, Branch, Tokens
from scoring.experts.token_rows import Row, cut_batches

if TYPE_CHECKING:
    import torch

MAX_PREFIX_BYTES = 1 << 30
MIN_TOKENS_SAVED = 64
"""What the reuse of a beginning must save to be worth a pass of its own."""


class TokenForward:
    """One model's forward passes: predictions at chosen places of many rows."""

    def __init__(self, model: Any, device: torch.device, *, max_tokens: int, max_rows: int) -> None:
        self.max_tokens = max_tokens
        self._max_rows = max_rows
        self._model = model
        self._device = device
        self._head = replace_head(model)
        self._n_positions = model.config.get_text_config(decoder=True).max_position_embeddings
        self._prefixes: OrderedDict[Tokens, Any] = OrderedDict()
        self._too_large: set[int] = set()
        self._window = find_window(model)
        if self._window is not None and not self._shares_truthfully():
            self._window = None

    def score_letters(
        self, groups: Sequence[Sequence[AskedQuestion]], letters: Sequence[int], scores: Logits
    ) -> set[int]:
        """Write the logits of the letters' tokens into the questions' rows of ``scores``.

        Return the rows of questions that do not fit into the device's memory alone: NaN.
        """
        import torch

        self._too_large = set()
        columns = torch.tensor(letters, device=self._device)
        for rows, prefix in self._plan(groups):
            logits = self._run(rows, prefix, columns)
            scores[[row.place for row in rows], : len(letters)] = logits.float().cpu().numpy()
        return self._too_large

    def score_texts(self, groups: Sequence[Sequence[AskedQuestion]], scores: Logits) -> set[int]:
        """Write the mean log-likelihood per token of every choice into ``scores``.

        Return the rows of questions of which a choice does not fit into the device's memory: NaN.
        """
        self._too_large = set()
        for rows, prefix in self._plan(groups):
            likelihoods = self._log_likelihoods(rows, prefix)
            start = 0
            for row in rows:
                choices = np.array(row.choices)
                mine = likelihoods[start : start + len(choices)]
                for choice in np.unique(choices):
                    scores[row.place, choice] = mine[choices == choice].mean()
                start += len(choices)
        scores[sorted(self._too_large)] = np.nan
        return self._too_large

    def _shares_truthfully(self) -> bool:
        """Say whether this model gives the same answer with and without anything shared.

        Most do; one that counts positions its own way would be wrong silently.
        """
        trunk = tuple(range(3, 9))
        asked = AskedQuestion(0, trunk, (Branch((16, 17), 1), Branch((19, 20), 2)), n_shared=3)
        plain = [Row.of(asked, 0, [number]) for number in range(2)]
        expected = self._log_likelihoods(plain, ())
        try:
            shared = self._log_likelihoods([Row.of(asked, 3)], trunk[:3])
        except (ValueError, RuntimeError, TypeError, IndexError, KeyError, AttributeError):
            return False
        finally:
            self._prefixes.clear()
        tolerance = 1e-3 if self._model.dtype.itemsize >= 4 else 0.1
        return bool(np.abs(shared - expected).max() < tolerance)

    def _log_likelihoods(self, rows: Sequence[Row], prefix: Tokens) -> np.ndarray[Any, Any]:
        import torch

        logits = self._run(rows, prefix, None).float()
        targets = torch.tensor([token for row in rows for token in row.targets])
        chosen = logits.gather(1, targets.to(self._device)[:, None])[:, 0]
        return (chosen - logits.logsumexp(1)).double().cpu().numpy()

    def _plan(
        self, groups: Sequence[Sequence[AskedQuestion]]
    ) -> Iterator[tuple[list[Row], Tokens]]:
        """Yield batches of rows and what they share; those that share too little go together."""
        alone: list[Row] = []
        for group in groups:
            prefix = self._choose_prefix(group)
            rows = [row for asked in group for row in self._lay_out(asked, len(prefix))]
            if not prefix:
                alone += rows
                continue
            for batch in self._cut(rows):
                yield batch, prefix
        for batch in self._cut(alone):
            yield batch, ()

    def _cut(self, rows: Sequence[Row]) -> Iterator[list[Row]]:
        # Apart: among rows with a mask of their own a layer's window isn't looked at.
        for is_plain in (True, False):
            alike = [row for row in rows if row.is_plain == is_plain]
            yield from cut_batches(alike, self.max_tokens, self._max_rows)

    def _choose_prefix(self, group: Sequence[AskedQuestion]) -> Tokens:
        n_shared = min(asked.n_shared for asked in group)
        prefix = group[0].trunk[:n_shared]
        is_worth_it = n_shared * (len(group) - 1) >= MIN_TOKENS_SAVED or prefix in self._prefixes
        return prefix if self._window is not None and is_worth_it else ()

    def _lay_out(self, asked: AskedQuestion, n_before: int) -> list[Row]:
        # A window counts tokens as they are laid out, so side by side they must all fit into it.
        if self._window is not None and asked.n_shared + asked.n_new <= self._window:
            return [Row.of(asked, n_before)]
        return [Row.of(asked, n_before, [number]) for number in range(len(asked.branches))] or [
            Row.of(asked, n_before)
        ]

    def _run(
        self, rows: Sequence[Row], prefix: Tokens, columns: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the logits (n_wanted, n_columns) of all wanted places, row after row.

        A row that does not fit into the memory alone is NaN, and its question noted.
        """
        import torch

        try:
            with torch.inference_mode():
                return self._forward(rows, self._read_prefix(prefix), columns)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            # What it shares with others it needs; other beginnings can be given up.
            if len(rows) == 1 and self._prefixes.keys() <= {prefix}:
                return self._give_up(rows[0], columns)
        self._prefixes.clear()
        release_memory(self._device)
        if len(rows) == 1:
            return self._run(rows, prefix, columns)
        self.max_tokens = max(1, self.max_tokens // 2)
        middle = len(rows) // 2
        halves = [self._run(part, prefix, columns) for part in (rows[:middle], rows[middle:])]
        return torch.cat(halves)

    def _give_up(self, row: Row, columns: torch.Tensor | None) -> torch.Tensor:
        import torch

        self._too_large.add(row.place)
        release_memory(self._device)
        n_tokens = self._model.config.get_text_config(decoder=True).vocab_size
        shape = (len(row.wanted), n_tokens if columns is None else len(columns))
        return torch.full(shape, torch.nan, device=self._device, dtype=self._model.dtype)

    def _forward(
        self, rows: Sequence[Row], prefix: Any, columns: torch.Tensor | None
    ) -> torch.Tensor:
        import torch

        width = max(len(row) for row in rows)
        tokens = np.zeros((len(rows), width), dtype=np.int64)
        positions = np.full((len(rows), width), self._n_positions - 1, dtype=np.int64)
        for place, row in enumerate(rows):
            tokens[place, : len(row)] = row.tokens
            positions[place] = np.minimum(row.n_before + np.arange(width), self._n_positions - 1)
            positions[place, : len(row)] = row.positions()
        self._head.choose(
            [(place, wanted) for place, row in enumerate(rows) for wanted in row.wanted], columns
        )
        cache = None if prefix is None else _repeat(prefix, len(rows))
        output = self._model(
            input_ids=torch.from_numpy(tokens).to(self._device),
            position_ids=torch.from_numpy(positions).to(self._device),
            attention_mask=self._mask(rows, width),
            cache=cache,
            use_cache=cache is not None,
        )
        logits: torch.Tensor = output.logits[0]
        return logits

    def _mask(self, rows: Sequence[Row], width: int) -> torch.Tensor | None:
        """Return who sees whom, or None where plain order says it: padding stands at the end."""
        import torch

        if all(row.is_plain for row in rows):
            return None
        n_before = rows[0].n_before
        seen = np.tile(np.tri(width, dtype=np.bool_), (len(rows), 1, 1))
        for place, row in enumerate(rows):
            seen[place, : len(row), : len(row)] = row.visibility()
        before = np.ones((len(rows), width, n_before), dtype=np.bool_)
        mask = torch.from_numpy(np.concatenate([before, seen], axis=2)).to(self._device)[:, None]
        if self._model.config._attn_implementation == "sdpa":
            return mask
        dtype = self._model.dtype
        hidden = torch.full((), torch.finfo(dtype).min, dtype=dtype, device=self._device)
        return torch.where(mask, torch.zeros_like(hidden), hidden)

    def _read_prefix(self, prefix: Tokens) -> Any:
        """Return the keys and values of a beginning, from memory where it was read before."""
        import torch
        from transformers import DynamicCache

        if not prefix:
            return None
        if prefix in self._prefixes:
            self._prefixes.move_to_end(prefix)
            return self._prefixes[prefix]
        self._head.choose([(0, len(prefix) - 1)], None)
        cache = DynamicCache(config=self._model.config)
        tokens = torch.tensor([prefix], device=self._device)
        self._model(input_ids=tokens, cache=cache, use_cache=True)
        self._prefixes[prefix] = cache
        while len(self._prefixes) > 1 and self._count_bytes() > MAX_PREFIX_BYTES:
            self._prefixes.popitem(last=False)
        return cache

    def _count_bytes(self) -> int:
        return sum(
            layer.keys.nbytes + layer.values.nbytes
            for cache in self._prefixes.values()
            for layer in cache.layers
            if layer.is_initialized
        )


def replace_head(model: Any) -> Any:
    """Put an output layer into ``model`` that computes chosen places and tokens only; return it."""
    import torch

    class ChosenHead(torch.nn.Module):
        """The model's own output layer, at the places chosen before each pass."""

        def __init__(self, head: torch.nn.Module) -> None:
            super().__init__()
            self.head = head
            self.places: tuple[torch.Tensor, torch.Tensor] | None = None
            self.columns: torch.Tensor | None = None

        def choose(self, places: Sequence[tuple[int, int]], columns: torch.Tensor | None) -> None:
            chosen = torch.tensor(places)
            self.places = chosen[:, 0], chosen[:, 1]
            self.columns = columns

        def forward(self, hidden: torch.Tensor) -> torch.Tensor:
            if self.places is None:
                return self.head(hidden)  # type: ignore[no-any-return]
            rows = hidden[self.places]
            if self.columns is None:
                return self.head(rows)[None]  # type: ignore[no-any-return]
            if type(self.head) is not torch.nn.Linear:
                return self.head(rows)[None, :, self.columns]  # type: ignore[no-any-return]
            bias = None if self.head.bias is None else self.head.bias[self.columns]
            return torch.nn.functional.linear(rows, self.head.weight[self.columns], bias)[None]

        @property
        def weight(self) -> Any:
            # Some models look at it to choose the type they compute in.
            return self.head.weight

    head = model.get_output_embeddings()
    if head is None:
        message = f"{type(model).__name__} has no output layer of tokens"
        raise ExpertRefused("architecture", message)
    chosen = ChosenHead(head)
    model.set_output_embeddings(chosen)
    return chosen


def find_window(model: Any) -> int | None:
    """Return how far back every layer of ``model`` sees, or None where it keeps no keys and values.

    Without them (recurrent layers, for example) nothing can be shared between questions.
    """
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    window = sys.maxsize
    for layer in DynamicCache(config=model.config).layers:
        if type(layer) is DynamicSlidingWindowLayer:
            window = min(window, layer.sliding_window)
        elif type(layer) is not DynamicLayer:
            return None
    return window


def _repeat(prefix: Any, n_rows: int) -> Any:
    """Return a copy of a one-row cache for ``n_rows`` rows; its own tensors are not touched."""
    repeated = copy.copy(prefix)
    repeated.layers = [copy.copy(layer) for layer in prefix.layers]
    for layer in repeated.layers:
        if layer.is_initialized:
            layer.keys = layer.keys.expand(n_rows, -1, -1, -1)
            layer.values = layer.values.expand(n_rows, -1, -1, -1)
    return repeated
