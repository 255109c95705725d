"""Small wrong changes of a program, one at a time: what mutmut makes of a function, and more.

A comparison lets its edge in or out, an argument is None or missing, a condition is turned round.
Changes stay inside functions, and in the plain numbers of a module. Words for people (what an
error or a log line says), annotations and decorators are left as they are.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.Div,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.UAdd: ast.USub,
    ast.USub: ast.UAdd,
}
METHODS = ("lower upper", "lstrip rstrip", "find rfind", "index rindex", "partition rpartition")
METHODS = (*METHODS, "removeprefix removesuffix", "min max", "any all", "argmin argmax")
PAIRS = {a: b for pair in METHODS for a, b in (pair.split(), pair.split()[::-1])}
UNTOUCHED_CALLS = {"cast", "len", "isinstance"}
WORDS = {"debug", "info", "warning", "error", "exception"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Change:
    """One change: ``parent``'s ``field`` (at ``index`` of a list) becomes ``new``.

    ``function`` is the outermost function or method around it, empty for a number of the module.
    """

    parent: ast.AST
    field: str
    index: int | None
    new: ast.AST | None
    function: str
    line: int
    before: str
    after: str

    @contextmanager
    def made(self) -> Iterator[None]:
        """Change the tree for a while."""
        value = getattr(self.parent, self.field)
        changed = self.new
        if self.index is not None:
            changed = [*value[: self.index], *([self.new] if self.new else ())]
            changed += value[self.index + 1 :]
        setattr(self.parent, self.field, changed)
        try:
            yield
        finally:
            setattr(self.parent, self.field, value)


def list_changes(tree: ast.Module) -> list[Change]:
    """Return every change of a module, in the order of its lines."""
    return list(_in_block(tree, ""))


def _in_block(block: ast.Module | ast.ClassDef, path: str) -> Iterator[Change]:
    for node in block.body:
        if isinstance(node, Function):
            yield from _in_function(node, f"{path}{node.name}")
        elif isinstance(node, ast.ClassDef):
            yield from _in_block(node, f"{path}{node.name}.")
        elif not path and isinstance(node, ast.Assign | ast.AnnAssign) and _is_number(node.value):
            yield from _below(node, "value", None, node.value, "")


def _is_number(node: ast.AST | None) -> bool:
    """Whether a value is a plain number, or sums and products of some."""
    if isinstance(node, ast.BinOp):
        return _is_number(node.left) and _is_number(node.right)
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float)


def _in_function(node: Function, name: str) -> Iterator[Change]:
    for field in ("defaults", "kw_defaults"):
        for index, default in enumerate(getattr(node.args, field)):
            if isinstance(default, ast.Constant):
                yield from _below(node.args, field, index, default, name)
    for index, statement in enumerate(node.body):
        yield from _below(node, "body", index, statement, name)


def _below(
    parent: ast.AST,
    field: str,
    index: int | None,
    node: ast.AST,
    function: str,
) -> Iterator[Change]:
    """Yield the changes of a node and of all below it."""
    if _is_for_people(node):
        return
    for new in _variants(node):
        yield _change(parent, field, index, new, function, node)
    if isinstance(node, ast.Match) and len(node.cases) > 1:
        for number, case in enumerate(node.cases):
            yield _change(node, "cases", number, None, function, case)
    for name, number, child in _children(node):
        yield from _below(node, name, number, child, function)


def _children(node: ast.AST) -> Iterator[tuple[str, int | None, ast.AST]]:
    """Yield what is run of a node: not its annotations, decorators, and types of casts."""
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list", "ctx", "type_params"}:
            continue
        if isinstance(value, ast.AST):
            yield name, None, value
        elif isinstance(value, list):
            first = 1 if name == "args" and _called(node) == "cast" else 0
            for number, child in enumerate(value[first:], start=first):
                if isinstance(child, ast.AST):
                    yield name, number, child


def _called(node: ast.AST) -> str:
    """Return the bare name of what a call calls."""
    func = getattr(node, "func", None)
    return getattr(func, "attr", getattr(func, "id", ""))


def _change(
    parent: ast.AST,
    field: str,
    index: int | None,
    new: ast.AST | None,
    function: str,
    node: ast.AST,
) -> Change:
    if new is not None:
        ast.fix_missing_locations(ast.copy_location(new, node))
    line = getattr(node, "lineno", getattr(parent, "lineno", 0))
    if isinstance(node, ast.match_case):
        line = node.pattern.lineno
    shown = "" if new is None else _text(new, parent)
    return Change(parent, field, index, new, function, line, _text(node, parent), shown)


def _text(node: ast.AST, parent: ast.AST) -> str:
    if isinstance(node, ast.operator | ast.cmpop | ast.boolop | ast.unaryop):
        return f"{type(node).__name__} in {ast.unparse(parent)}"
    return ast.unparse(node)


def _is_for_people(node: ast.AST) -> bool:
    """Whether a node only holds words: docstrings, and what errors and log lines say."""
    if isinstance(node, ast.Expr):
        call = node.value
        if isinstance(call, ast.Constant):
            return True
        name = getattr(getattr(call, "func", None), "attr", "")
        owner = getattr(getattr(getattr(call, "func", None), "value", None), "id", "")
        return owner == "logger" and name in WORDS
    return isinstance(node, ast.Raise)


def _variants(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what a node may be changed to."""
    if type(node) in SWAPPED:
        yield SWAPPED[type(node)]()
    make = VARIANTS.get(type(node))
    if make is not None:
        yield from make(node)


def _of_constant(node: ast.Constant) -> Iterator[ast.AST]:
    value: Any = node.value
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int | float) and value + 1 != value:
        yield ast.Constant(value + 1)
    elif isinstance(value, str):
        yield ast.Constant(f"XX{value}XX")


def _of_call(node: ast.Call) -> Iterator[ast.AST]:
    name = _called(node)
    if name in UNTOUCHED_CALLS:
        return
    if name in PAIRS:
        new = deepcopy(node)
        setattr(new.func, "attr" if isinstance(new.func, ast.Attribute) else "id", PAIRS[name])
        yield new
    n_arguments = len(node.args) + len(node.keywords)
    for number, argument in enumerate(node.args):
        is_none = isinstance(argument, ast.Constant) and argument.value is None
        if not (is_none or isinstance(argument, ast.Starred)):
            new = deepcopy(node)
            new.args[number] = ast.Constant(None)
            yield new
        if n_arguments > 1:
            new = deepcopy(node)
            del new.args[number]
            yield new
    for number, keyword in enumerate(node.keywords):
        is_none = isinstance(keyword.value, ast.Constant) and keyword.value.value is None
        if keyword.arg and not is_none:
            new = deepcopy(node)
            new.keywords[number].value = ast.Constant(None)
            yield new
        if n_arguments > 1:
            new = deepcopy(node)
            del new.keywords[number]
            yield new


def _of_unary(node: ast.UnaryOp) -> Iterator[ast.AST]:
    if isinstance(node.op, ast.Not | ast.Invert):
        yield node.operand


def _of_assignment(node: ast.Assign | ast.AnnAssign) -> Iterator[ast.AST]:
    if node.value is None:
        return
    is_none = isinstance(node.value, ast.Constant) and node.value.value is None
    new = deepcopy(node)
    new.value = ast.Constant("" if is_none else None)
    yield new


def _of_augmented(node: ast.AugAssign) -> Iterator[ast.AST]:
    yield ast.Assign(targets=[node.target], value=node.value)


def _of_choice(node: ast.IfExp) -> Iterator[ast.AST]:
    yield node.body
    yield node.orelse


def _of_lambda(node: ast.Lambda) -> Iterator[ast.AST]:
    yield ast.Lambda(args=node.args, body=ast.Constant(None))


VARIANTS: dict[type[ast.AST], Any] = {
    ast.Constant: _of_constant,
    ast.Call: _of_call,
    ast.UnaryOp: _of_unary,
    ast.Assign: _of_assignment,
    ast.AnnAssign: _of_assignment,
    ast.AugAssign: _of_augmented,
    ast.IfExp: _of_choice,
    ast.Lambda: _of_lambda,
    ast.Break: lambda _node: [ast.Return(value=None)],
    ast.Continue: lambda _node: [ast.Break()],
}
