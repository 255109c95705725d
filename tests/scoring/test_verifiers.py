"""Verifiers read an answer out of text as the benchmarks' authors do, and run nothing."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.verifiers import read_number, read_option, verify_number, verify_option

CITIES = ["Rome", "Paris", "Oslo", "Bern"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("He makes 9 * 2 = $18 a day.\n#### 18", "18"),
        ("16 - 3 - 4 = 9 eggs, so 9 * $2 = $18.", "18"),
        ("#### 1,234,567", "1234567"),
        ("#### $2,125.50 dollars, of 3", "2125.50"),
        ("First #### 3\nthen #### 4", "4"),
        ("#### 3\n####\n####", "3"),
        ("####\n5", None),
        ("The answer is 5.", "5"),
        ("2, 3 and 4", "4"),
        ("1,2", "2"),
        ("1,0000", "0000"),
        ("costs .5", ".5"),
        ("It falls to -3", "-3"),
        ("to \N{MINUS SIGN}3", "-3"),
        ("-$7", "-7"),
        ("10-3", "3"),
        ("(4)-3", "3"),
        ("version v2", "2"),
    ],
)
def test_the_number_an_answer_ends_up_with(text, expected):
    assert read_number(text) == (None if expected is None else Decimal(expected))


@pytest.mark.parametrize("text", ["", "none at all", "5 apples\n#### no idea"])
def test_an_answer_without_a_number_has_none(text):
    assert read_number(text) is None


def test_numbers_are_equal_by_value():
    assert verify_number("so it is 18.00", "#### 18")
    assert verify_number("1,000", "1000")
    assert not verify_number("18", "#### 81")
    assert not verify_number("no idea", "#### 0")
    with pytest.raises(ValueError, match="no number"):
        verify_number("3", "many")


@given(st.integers(-(10**9), 10**9), st.text(alphabet="abc ,.\n", max_size=20))
def test_any_whole_number_is_found_after_the_mark_and_as_the_last_one(number, before):
    for shown in (str(number), f"{number:,}"):
        assert read_number(f"{before}\n#### {shown}") == number
        assert read_number(f"{before} = {shown}.") == number


@pytest.mark.parametrize(
    "text",
    [
        "B", " B\n", "(B)", "B.", "**B**", "B. Paris", "B) Paris", "B: Paris", "(B) Paris",
        "The answer is B", "The answer is (B).", "Answer: B", "answer: **B**, surely",
        "The answer is A? No: the answer is B", "A plane? Hmm. Answer: B", "Paris", "paris.",
    ],
)  # fmt: skip
def test_the_option_an_answer_names(text):
    assert read_option(text, CITIES) == 1


@pytest.mark.parametrize(
    "text",
    ["", "E", "b", "BB", "AB", "A or B", "A plane", "the answer is a plane", "answer is A plane",
     "Answer: Both", "Rome or Paris", "I'd say so", "The answer is I'm unsure"],
)  # fmt: skip
def test_an_answer_that_names_no_option_clearly_names_none(text):
    assert read_option(text, CITIES) is None


def test_options_that_read_alike_are_told_apart_by_letter_only():
    assert read_option("yes", ["yes", "no", "Yes"]) is None
    assert read_option("C", ["yes", "no", "Yes"]) == 2
    assert verify_option("C.", ["yes", "no", "Yes"], 2)
    assert not verify_option("no idea", ["yes", "no", "Yes"], 1)


@given(st.text(max_size=60))
def test_any_text_is_read_as_an_option_or_as_none(text):
    assert read_option(text, CITIES) in {None, 0, 1, 2, 3}
