"""What answers make of a key: the table that both the server's rule and the page's are tested by.

The published key is option 2 of four.
"""

from __future__ import annotations

GIVEN = 2
CASES: list[tuple[list[int] | None, str | None]] = [
    (None, None),  # nothing answered yet
    ([], "no_correct"),
    ([2], "label_correct"),
    ([0], "wrong_ground_truth"),
    ([3], "wrong_ground_truth"),
    ([0, 2], "multiple_correct"),
    ([0, 3], "multiple_correct"),  # whether or not the key is among them
    ([0, 1, 2, 3], "multiple_correct"),
]
