"""The changes that mutants are made of, and that every one of them can be put into running code."""

from __future__ import annotations

import ast
import re

import pytest

from tests.gates.changes import list_changes
from tests.gates.forks import find_running
from tests.gates.mutants import interval
from tests.gates.parts import CORE, PARTS, ROOT

FUNCTION = '''
LIMIT = 3

@decorated("as it is")
def act(value: int, *, exact=True):
    """What it does."""
    logger.info("words %s", value)
    if value < LIMIT and not exact:
        raise ValueError("words")
    return look(value, key="x")
'''


def test_every_change_of_a_small_function_is_one_that_matters():
    changes = {f"{change.before} -> {change.after}" for change in list_changes(ast.parse(FUNCTION))}
    assert changes == {
        "3 -> 4",
        "True -> False",
        "And in value < LIMIT and (not exact) -> Or in value < LIMIT and (not exact)",
        "Lt in value < LIMIT -> LtE in value < LIMIT",
        "not exact -> exact",
        "look(value, key='x') -> look(None, key='x')",
        "look(value, key='x') -> look(key='x')",
        "look(value, key='x') -> look(value, key=None)",
        "look(value, key='x') -> look(value)",
        "'x' -> 'XXxXX'",
    }


def test_a_change_is_made_for_a_while():
    tree = ast.parse(FUNCTION)
    whole = ast.unparse(tree)
    for change in list_changes(tree):
        with change.made():
            assert ast.unparse(tree) != whole
        assert ast.unparse(tree) == whole


@pytest.mark.parametrize("part", PARTS)
def test_every_function_that_is_changed_is_found_in_the_running_code(part):
    for file in PARTS[part].list_files():
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for name in {change.function for change in list_changes(tree)} - {""}:
            assert find_running(file, name).__qualname__ == name


def test_the_tests_of_every_part_exist():
    for part in (*PARTS.values(), CORE):
        assert all((ROOT / test).exists() for test in part.tests)


def test_the_limits_of_a_score_are_wilsons():
    # 80 of 100: (.8 + .0192) / 1.0384 -+ 1.96 sqrt(.0016 + .000096) / 1.0384
    assert interval(0.8, 100) == pytest.approx((0.7112, 0.8666), abs=2e-4)


def test_contributing_names_parts_that_there_are():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    [named] = re.findall(r'make mutants ARGS="(\w+ \w+) --sample', text)
    assert set(named.split()) <= set(PARTS)
