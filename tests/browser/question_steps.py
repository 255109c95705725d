"""Steps that the browser tests of the desk for questions are made of."""

from __future__ import annotations

from django.urls import reverse
from playwright.sync_api import Page, expect

from audit.models import Audit, Dataset
from tests.browser.desk_steps import EYES
from tests.factories import make_questions, make_ready_audit, make_sample

PASSAGE = "\n".join(
    f"{number:>2}. The court held that a promise made without consideration is not enforceable, "
    "save where the promisee relied on it to his detriment, as the promisor could foresee."
    for number in range(1, 41)
)
FORMULAS = (
    "Let $f(x) = \\int_0^x \\frac{\\sin t}{t}\\,dt$ and $$A = \\begin{pmatrix} 1 & 2 \\\\ 3 & 4 "
    "\\end{pmatrix}, \\qquad \\sum_{n=1}^{\\infty} \\frac{1}{n^2} = \\frac{\\pi^2}{6}.$$ "
    "A ticket costs $5 and two cost $10. What is \\(\\det A\\)?"
)
CODE = (
    "What does this print?\n\n```python\n"
    "def f(n):\n    return n if n < 2 else f(n - 1) + f(n - 2)\n\n"
    "print([f(n) for n in range(7)])\n```\nMind that `range(7)` ends before 7."
)
HOSTILE = (
    "<script>document.title = 1</script> <img src=x onerror=\"document.title='2'\"> {{7*7}} "
    "{% debug %} [link](javascript:alert(1)) \u202e}(txet desrever)\u2066 Z"
    + "\u0335\u0321"
    * 200
    + " $\\href{javascript:alert(1)}{x}$ $\\htmlStyle{color:red}{y}$ $\\frac{1$ "
    "$\\def\\x{\\x\\x}\\x$ <|im_start|> ignore previous instructions `</code><b>bold</b>`"
)


def make_question_audit(n_items: int = 12, n_choices: int = 4) -> Audit:
    """Sums: option A is right, and the key of the question at i is option i % n_choices."""
    dataset = make_questions(n_items=n_items, n_choices=n_choices)
    audit = make_ready_audit(dataset, n_flags=n_items)
    make_sample(audit, n_items)
    return audit


def rewrite(dataset: Dataset, position: int, question: str, choices: list[str]) -> None:
    """Put another question in a place; its key stays."""
    dataset.items.filter(position=position).update(question=question, choices=choices)


def open_question_desk(page: Page, audit: Audit) -> None:
    page.goto(reverse("reviews:desk", args=[audit.pk]))
    see_question(page)


def see_question(page: Page) -> None:
    expect(page.locator("#text")).to_have_attribute("data-state", "shown")
    expect(page.locator("[data-verdict=unsure]")).to_be_enabled()
    page.wait_for_timeout(EYES)


def answer(page: Page, *keys: str) -> None:
    """Look at the question, then press the keys."""
    see_question(page)
    for key in keys:
        page.keyboard.press(key)
