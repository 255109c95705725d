"""What never changes once it is there, read once by each process and kept in its memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")
_shelves: list[Shelf[Any, Any]] = []


class Shelf(Generic[Key, Value]):
    """At most `size` values by key; the oldest make room. Threads may share one."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: dict[Key, Value] = {}
        self._guard = threading.Lock()
        _shelves.append(self)

    def find(
        self, keys: Iterable[Key], load: Callable[[set[Key]], Mapping[Key, Value]]
    ) -> dict[Key, Value]:
        """Return the values of the keys that have any; `load` reads those that aren't here yet."""
        wanted = set(keys)
        with self._guard:
            found = {key: self._kept[key] for key in wanted & self._kept.keys()}
        missing = wanted - found.keys()
        if not missing:
            return found
        loaded = load(missing)
        with self._guard:
            self._kept.update(loaded)
            while len(self._kept) > self._size:
                del self._kept[next(iter(self._kept))]
        return found | dict(loaded)

    def clear(self) -> None:
        with self._guard:
            self._kept.clear()


def clear_shelves() -> None:
    """Forget everything: the database behind it is another one."""
    for shelf in _shelves:
        shelf.clear()
