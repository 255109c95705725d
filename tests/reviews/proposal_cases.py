"""What ticks propose: the table that both the server's rule and the page's are tested against.

Given label 0. Classes near it: 1 is a WordNet descendant, 2 an ancestor, 3 a look-alike.
"""

from __future__ import annotations

from reviews.models import Verdict

GIVEN = 0
NEAR = {1: Verdict.SUB_CLASS, 2: Verdict.SUPER_CLASS, 3: Verdict.SIMILAR_CLASS}
CASES: list[tuple[list[int] | None, str | None]] = [
    (None, None),  # nothing chosen yet
    ([], "wrong_label"),  # none of these
    ([0], "label_correct"),
    ([0, 9], "multi_object"),
    ([9, 0], "multi_object"),
    ([3, 0, 9], "multi_object"),
    ([1], "sub_class"),
    ([2], "super_class"),
    ([3], "similar_class"),
    ([9], "wrong_label"),
    ([3, 9], "similar_class"),  # the main one decides
    ([9, 3], "wrong_label"),
    ([1, 2, 3], "sub_class"),
]
