"""A shelf reads each value once, keeps no more than its size, and threads may share it."""

from __future__ import annotations

import threading

from audit.shelves import Shelf


def test_each_value_is_read_once_and_what_has_none_is_asked_for_again():
    asked: list[set[int]] = []

    def load(missing: set[int]) -> dict[int, str]:
        asked.append(missing)
        return {key: str(key) for key in missing if key < 10}

    shelf: Shelf[int, str] = Shelf(5)
    assert shelf.find([1, 2, 11], load) == {1: "1", 2: "2"}
    assert shelf.find([2, 1], load) == {1: "1", 2: "2"}
    assert shelf.find([2, 3, 11], load) == {2: "2", 3: "3"}
    assert asked == [{1, 2, 11}, {3, 11}]


def test_the_oldest_make_room_and_a_large_question_is_answered_whole():
    shelf: Shelf[int, int] = Shelf(3)
    load = lambda missing: {key: key for key in missing}
    nothing = lambda _missing: {}
    shelf.find([1, 2, 3], load)
    shelf.find([4], load)
    assert shelf.find([2, 3, 4], nothing) == {2: 2, 3: 3, 4: 4}
    assert shelf.find([1], nothing) == {}
    assert shelf.find(range(9), load) == {key: key for key in range(9)}


def test_threads_share_one():
    shelf: Shelf[int, int] = Shelf(50)
    wrong: list[int] = []

    def work(start: int) -> None:
        for step in range(300):
            keys = range(start + step, start + step + 20)
            found = shelf.find(keys, lambda missing: {key: key * key for key in missing})
            wrong.extend(key for key in keys if found.get(key) != key * key)

    threads = [threading.Thread(target=work, args=[number * 7]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
