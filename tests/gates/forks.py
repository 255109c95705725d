"""Runs the tests of a part once as they are, then those that reach it for every changed function.

A plugin of pytest: the tests, the database and what they import are made ready once. Each change
is then tried in a fork of the process with a copy of the database: the function's code is put in
place of the running one, and the tests that reach the changed line run, quickest first, until
one fails. No file is ever changed. What other processes do, workers say, runs unchanged code:
tests that start some are left out.
"""

from __future__ import annotations

import ast
import functools
import gc
import inspect
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import coverage
import pytest
from hypothesis import Phase
from hypothesis import settings as hypothesis_settings

from tests.gates.changes import Change, list_changes
from tests.gates.parts import PARTS, ROOT

PACKAGES = ("audit", "reviews", "scoring")
FAILED, NOT_TRIED = 1, 3
STDERR = os.dup(2)  # before pytest takes it
PATIENCE, LEAST_SECONDS = 8, 30


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--part", required=True, choices=PARTS)
    parser.addoption("--sample", type=int, default=80)
    parser.addoption("--seed", type=int, default=1)
    parser.addoption("--forks", type=int, default=2)
    parser.addoption("--only", default="", help="try the changes of these lines: FILE:LINE,...")
    parser.addoption("--outcome", required=True, help="the file of outcomes, JSON")


def pytest_configure(config: pytest.Config) -> None:
    # What fails need not be made small: the first failure is enough.
    phases = [Phase.explicit, Phase.generate]
    hypothesis_settings.register_profile("mutants", phases=phases, database=None)
    hypothesis_settings.load_profile("mutants")
    config.pluginmanager.register(Forks(config), "forks")


@dataclass(slots=True)
class Trial:
    """One change and what came of it: killed, survived, unreached, timeout."""

    file: str
    change: Change
    outcome: str = ""
    tests: int = 0

    def describe(self) -> dict[str, Any]:
        change = self.change
        return {
            "file": self.file,
            "line": change.line,
            "function": change.function,
            "before": change.before,
            "after": change.after,
            "outcome": self.outcome,
            "tests": self.tests,
        }


class Forks:
    """Takes pytest's loop over the tests over."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.part = PARTS[config.getoption("--part")]
        self.files = list(self.part.list_files())
        self.trees = {file: ast.parse(file.read_text(encoding="utf-8")) for file in self.files}
        self.seconds: dict[str, float] = defaultdict(float)
        self.is_child = False
        self.told = STDERR

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration
        if self.is_child and report.failed:
            os.write(self.told, f"{report.nodeid}\n{report.longreprtext}\n".encode())
            os._exit(FAILED)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        reached = self._run_unchanged(session)
        self._check_forks(session)
        trials = self._draw()
        for trial in trials:
            trial.outcome = "" if self._tests_of(trial, reached, session) else "unreached"
        self._try_all(session, [each for each in trials if not each.outcome], reached)
        outcome = Path(self.config.getoption("--outcome"))
        n_changes = sum(1 for _ in self._all_changes())
        told = {"n_changes": n_changes, "trials": [trial.describe() for trial in trials]}
        outcome.write_text(json.dumps(told, indent=1))
        return True

    def _run_unchanged(self, session: pytest.Session) -> dict[str, dict[int, set[str]]]:
        """Run every test; return file -> line -> the tests that reach it."""
        names = [str(file) for file in self.files]
        measured = coverage.Coverage(data_file=None, config_file=False, include=names)
        measured.start()
        for number, item in enumerate(session.items):
            measured.switch_context(item.nodeid)
            following = session.items[(number + 1) % len(session.items)]
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.testsfailed:
                raise session.Failed("the tests fail as it is")
        measured.stop()
        data = measured.get_data()
        return {
            name: {line: set(tests) for line, tests in data.contexts_by_lineno(name).items()}
            for name in names
        }

    def _check_forks(self, session: pytest.Session) -> None:
        """Run every test in a fork without a change: what fails there would say nothing."""
        folder = Path(tempfile.mkdtemp(prefix="label-audit-mutant-"))
        tests = sorted(session.items, key=lambda item: self.seconds[item.nodeid])
        pid = self._fork(None, tests, folder)
        _, status = os.waitpid(pid, 0)
        shutil.rmtree(folder, ignore_errors=True)
        if status:
            raise session.Failed("the tests fail in a fork of unchanged code")

    def _all_changes(self) -> Iterator[Trial]:
        for file, tree in self.trees.items():
            for change in list_changes(tree):
                if self.part.counts(file, change.function):
                    yield Trial(str(file), change)

    def _draw(self) -> list[Trial]:
        """Return a sample of all changes, the same for the same seed."""
        every = list(self._all_changes())
        only = self.config.getoption("--only")
        if only:
            places = [place.rsplit(":", 1) for place in only.split(",")]
            wanted = {(str(ROOT / name), int(line)) for name, line in places}
            return [each for each in every if (each.file, each.change.line) in wanted]
        size = min(self.config.getoption("--sample"), len(every))
        drawn = random.Random(self.config.getoption("--seed")).sample(range(len(every)), size)  # noqa: S311
        return [every[number] for number in sorted(drawn)]

    def _tests_of(
        self, trial: Trial, reached: dict[str, dict[int, set[str]]], session: pytest.Session
    ) -> list[pytest.Item]:
        """Return the tests that can notice a change, the quickest first."""
        lines = reached[trial.file]
        names = set(lines.get(trial.change.line, ()))
        if not names:  # a line of a longer statement, or one of the module itself
            first, last = self._extent(trial)
            names = set().union(*(lines.get(line, ()) for line in range(first, last + 1)))
        tests = [item for item in session.items if item.nodeid in names]
        return sorted(tests, key=lambda item: self.seconds[item.nodeid])

    def _extent(self, trial: Trial) -> tuple[int, int]:
        """Return the lines of the change's statement; of the file for a number of the module."""
        tree = self.trees[Path(trial.file)]
        around = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.stmt)
            and node.lineno <= trial.change.line <= (node.end_lineno or node.lineno)
        ]
        if not trial.change.function:
            return 1, 10**6
        innermost = max(around, key=lambda node: (node.lineno, -(node.end_lineno or 0)))
        return innermost.lineno, innermost.end_lineno or innermost.lineno

    def _try_all(
        self,
        session: pytest.Session,
        trials: Sequence[Trial],
        reached: dict[str, dict[int, set[str]]],
    ) -> None:
        running: dict[int, tuple[Trial, float, Path]] = {}
        waiting = list(reversed(trials))
        while waiting or running:
            while waiting and len(running) < self.config.getoption("--forks"):
                trial = waiting.pop()
                tests = self._tests_of(trial, reached, session)
                trial.tests = len(tests)
                taken = sum(self.seconds[item.nodeid] for item in tests)
                folder = Path(tempfile.mkdtemp(prefix="label-audit-mutant-"))
                pid = self._fork(trial, tests, folder)
                running[pid] = trial, time.monotonic() + LEAST_SECONDS + PATIENCE * taken, folder
            time.sleep(0.02)
            for pid, (trial, limit, folder) in list(running.items()):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended and os.waitstatus_to_exitcode(status) == NOT_TRIED:
                    raise session.Failed(f"can't be tried: {trial.describe()}")
                if ended:
                    trial.outcome = "survived" if status == 0 else "killed"
                elif time.monotonic() > limit:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                    trial.outcome = "timeout"
                else:
                    continue
                del running[pid]
                shutil.rmtree(folder, ignore_errors=True)
                where = f"{Path(trial.file).relative_to(ROOT)}:{trial.change.line}"
                os.write(STDERR, f"{trial.outcome} {where} {trial.change.function}\n".encode())

    def _fork(self, trial: Trial | None, tests: Sequence[pytest.Item], folder: Path) -> int:
        """Start a process that tries a change; return its number."""
        from django.db import connections

        connections.close_all()
        pid = os.fork()
        if pid == 0:
            self._try_one(trial, tests, folder)
        return pid

    def _try_one(self, trial: Trial | None, tests: Sequence[pytest.Item], folder: Path) -> None:
        """Try a change in this process, a fork, and end it: 0 where every test passes."""
        code = NOT_TRIED
        try:
            self.is_child = True
            tempfile.tempdir = str(folder)
            _use_copy_of_database(folder)
            _forget_caches()
            if trial is not None:
                self.told = os.open(os.devnull, os.O_WRONLY)
                os.dup2(self.told, 1)
                os.dup2(self.told, 2)
                _install(trial, self.trees[Path(trial.file)])
            code = FAILED
            session = tests[0].session
            session._setupstate.teardown_exact(tests[0])  # where the loop would
            for number, item in enumerate(tests):
                following = tests[(number + 1) % len(tests)]
                item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            code = 0
        except BaseException:  # noqa: BLE001 - whatever it is must not leave the fork
            os.write(STDERR, traceback.format_exc().encode())
        finally:
            os._exit(code)


def _use_copy_of_database(folder: Path) -> None:
    from django.db import connections

    for connection in connections.all():
        name = connection.settings_dict["NAME"]
        if connection.vendor == "sqlite" and Path(name).is_file():
            copy = folder / "test.sqlite3"
            shutil.copy(name, copy)
            connection.settings_dict["NAME"] = str(copy)


def _forget_caches() -> None:
    """Empty every `functools.cache` of ours: the unchanged code has filled them."""
    for each in gc.get_objects():
        if type(each) is functools._lru_cache_wrapper:
            module = getattr(each, "__module__", None) or ""
            if module.split(".")[0] in PACKAGES:
                each.cache_clear()


def _find_module(file: Path) -> ModuleType:
    name = file.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
    return import_module(name.removesuffix(".__init__"))


def _install(trial: Trial, tree: ast.Module) -> None:
    """Put the changed function's code, or the changed number, in place of the running one."""
    change, module = trial.change, _find_module(Path(trial.file))
    with change.made():
        if not change.function:
            _set_number(module, tree, change.line)
            return
        code = _find_code(compile(tree, trial.file, "exec", dont_inherit=True), change.function)
        node = _find_definition(tree, change.function)
        defaults = [ast.unparse(each) for each in node.args.defaults]
        named = {
            argument.arg: ast.unparse(default)
            for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            if default is not None
        }
    function = find_running(Path(trial.file), change.function)
    function.__code__ = code
    if isinstance(change.parent, ast.arguments) and change.parent is node.args:
        scope = vars(module)
        function.__defaults__ = tuple(eval(each, scope) for each in defaults) or None  # noqa: S307
        function.__kwdefaults__ = {key: eval(each, scope) for key, each in named.items()}  # noqa: S307


def _set_number(module: ModuleType, tree: ast.Module, line: int) -> None:
    """Set a number of the module, and what others have imported of it."""
    statement = next(
        node for node in tree.body if node.lineno <= line <= (node.end_lineno or node.lineno)
    )
    assert isinstance(statement, ast.Assign | ast.AnnAssign)
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    [name] = [target.id for target in targets if isinstance(target, ast.Name)]
    value = eval(ast.unparse(statement.value), vars(module))  # type: ignore[arg-type]  # noqa: S307
    old = vars(module)[name]
    for other in list(sys.modules.values()):
        if other.__name__.split(".")[0] in PACKAGES and getattr(other, name, None) == old:
            setattr(other, name, value)


def _find_code(module: CodeType, name: str) -> CodeType:
    for each in module.co_consts:
        if isinstance(each, CodeType):
            if each.co_qualname == name:
                return each
            if name.startswith(f"{each.co_qualname}."):
                return _find_code(each, name)
    raise LookupError(name)


def _find_definition(tree: ast.Module, name: str) -> ast.FunctionDef:
    block: Any = tree
    for part in name.split("."):
        block = next(node for node in block.body if getattr(node, "name", None) == part)
    return block


def find_running(file: Path, name: str) -> FunctionType:
    """Return the innermost function behind a name of a file, whatever decorators made of it."""
    owner: Any = _find_module(file)
    *classes, last = name.split(".")
    for each in classes:
        owner = getattr(owner, each)
    found: Any = inspect.getattr_static(owner, last)
    while not isinstance(found, FunctionType) or hasattr(found, "__wrapped__"):
        for inner in ("__wrapped__", "__func__", "fget", "func"):
            if hasattr(found, inner):
                found = getattr(found, inner)
                break
    return found
