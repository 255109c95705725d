"""Which picture of the ImageNet validation set an item is, by the number in its file's name."""

from __future__ import annotations

import re

from reviews.vote_files.base import VoteTarget

N_PICTURES = 50_000
N_CLASSES = 1000
_IN_A_NAME = re.compile(r"ILSVRC2012_val_([0-9]{8})(?![0-9])")
_ALONE = re.compile(r"(?:.*/)?0*([1-9][0-9]{0,4})(?:\.[A-Za-z0-9]+)?")


def file_number(text: str) -> int | None:
    """Return the picture's number from 1 on in a key, path or address; None where there is none.

    ``ILSVRC2012_val_00000293`` anywhere in it, or a name that is nothing but the number, such as
    ``293``, ``00000293.JPEG`` or ``val/n01440764/293.jpg``.
    """
    found = _IN_A_NAME.search(text) or _ALONE.fullmatch(text)
    number = int(found.group(1)) if found else 0
    return number if 1 <= number <= N_PICTURES else None


def number_items(target: VoteTarget) -> dict[int, int]:
    """Return the place in item order of every picture number among the keys.

    Of two items with one number neither counts.
    """
    places: dict[int, int] = {}
    twice: set[int] = set()
    for place, key in enumerate(target.keys):
        number = file_number(key)
        if number is None:
            continue
        if number in places:
            twice.add(number)
        places[number] = place
    return {number: place for number, place in places.items() if number not in twice}
