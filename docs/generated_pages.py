"""Writes what the code knows best into two pages while they are built.

`reference/options.md` gets every command's help, `reference/scoring.md` every public function
and class of the library, each in the place of its marker.
"""

from __future__ import annotations

import argparse
import ast
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
WIDEST = 90  # characters that a line of code has room for beside the site's menu
# What Django adds to every command is said once, at the top of the page.
DJANGOS = frozenset(
    {
        "--version", "--verbosity", "--settings", "--pythonpath", "--traceback", "--no-color",
        "--force-color", "--skip-checks", "--help",
    }
)  # fmt: skip
Signed = ast.FunctionDef | ast.ClassDef


def setup(app: Any) -> dict[str, Any]:
    """Have Sphinx ask for the pages' text."""
    app.connect("source-read", write_page)
    return {"parallel_read_safe": True}


def write_page(_app: Any, page: str, source: list[str]) -> None:
    """Put the generated part in the place of its marker."""
    if page == "reference/options":
        put(source, "<!-- options -->", "\n".join(describe_commands()))
    if page == "reference/scoring":
        put(source, "<!-- scoring -->", "\n".join(describe_library()))


def put(source: list[str], marker: str, text: str) -> None:
    """Replace the marker; a page without it is refused."""
    if marker not in source[0]:
        raise ValueError(f"the page has no {marker}")
    source[0] = source[0].replace(marker, text)


def our_commands() -> dict[str, str]:
    """Return the names of the installation's own commands with the app they are in."""
    import django
    from django.core.management import get_commands

    logging.getLogger("environ").setLevel(logging.WARNING)  # a build needs no .env
    django.setup()
    commands = sorted(get_commands().items())
    return {name: app for name, app in commands if app in {"audit", "reviews"}}


def parser_of(name: str, app: str) -> argparse.ArgumentParser:
    """Return a command's parser, without what Django adds to all of them."""
    from django.core.management import load_command_class

    os.environ["COLUMNS"] = str(WIDEST + 2)  # of help, whatever the terminal's
    parser = load_command_class(app, name).create_parser("manage.py", name)
    for action in parser._actions:
        if DJANGOS & set(action.option_strings):
            action.help = argparse.SUPPRESS
    return parser


def describe_commands() -> Iterator[str]:
    """Yield lines of Markdown: a heading and the help of each command."""
    for name, app in our_commands().items():
        yield from (f"## {name}", "", "```text", parser_of(name, app).format_help().strip(), "```")
        yield ""


def describe_library() -> Iterator[str]:
    """Yield lines of Markdown: per module what it is, and its public functions and classes."""
    for path in sorted((ROOT / "scoring").glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        public = [
            node for node in tree.body if isinstance(node, Signed) and not node.name.startswith("_")
        ]
        if not public:
            continue
        yield from (f"## scoring.{path.stem}", "", *paragraphs(ast.get_docstring(tree)), "")
        for node in public:
            yield from (f"### {node.name}", "", "```python", signature(node), "```", "")
            yield from (*paragraphs(ast.get_docstring(node)), "")


def paragraphs(docstring: str | None) -> list[str]:
    """Return a docstring's text as Markdown that shows it as it is written."""
    text = docstring or "Nothing more to say than its name and types do."
    escaped = text.replace("``", "`").replace("<", "\\<").replace("*", "\\*").replace("_", "\\_")
    inside, parts = False, []
    for part in escaped.split("`"):  # code keeps its characters
        parts.append(part.replace("\\", "") if inside else part)
        inside = not inside
    return "`".join(parts).splitlines()


def signature(node: Signed) -> str:
    """Return how a function is called, or a class made, as the code has it."""
    if isinstance(node, ast.FunctionDef):
        returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
        line = f"def {node.name}({ast.unparse(node.args)}){returns}: ..."
        if len(line) <= WIDEST:
            return line
        lines = "".join(f"    {argument},\n" for argument in arguments_of(node.args))
        return f"def {node.name}(\n{lines}){returns}: ..."
    fields = [ast.unparse(part) for part in node.body if isinstance(part, ast.AnnAssign)]
    return f"class {node.name}:\n    " + "\n    ".join(fields or ["..."])


def arguments_of(arguments: ast.arguments) -> Iterator[str]:
    """Yield each argument as the code has it, one at a time."""
    plain = [*arguments.posonlyargs, *arguments.args]
    without: list[ast.expr | None] = [None] * (len(plain) - len(arguments.defaults))
    for argument, default in zip(plain, [*without, *arguments.defaults], strict=True):
        yield with_default(argument, default)
    if arguments.vararg:
        yield f"*{ast.unparse(arguments.vararg)}"
    elif arguments.kwonlyargs:
        yield "*"
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield with_default(argument, default)


def with_default(argument: ast.arg, default: ast.expr | None) -> str:
    """Return an argument with the value that it has if it isn't given."""
    written = ast.unparse(argument)
    return written if default is None else f"{written} = {ast.unparse(default)}"
