"""Environments the product can't run in are refused with a reason; odd ones change nothing."""

from __future__ import annotations

import ast
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from audit.config import environment
from audit.config.environment import (
    SettingError,
    read_database,
    read_flag,
    read_home,
    read_number,
    read_secret_key,
)
from tests.faults.installation import end_tree, wait_until
from tests.servers import make_database, run_manage

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = ROOT / "audit" / "config" / "settings.py"
STRONG = "k7" * 20


@pytest.mark.parametrize(
    "key",
    ["short-key1", "x" * 39, "changeme" * 10, "django-insecure-" + "x" * 50, "Secret" * 10],
)
def test_b153_a_key_that_is_short_or_known_is_refused_by_the_variables_name(tmp_path, key):
    with pytest.raises(SettingError, match="LABEL_AUDIT_SECRET_KEY must be at least 40") as refusal:
        read_secret_key({"LABEL_AUDIT_SECRET_KEY": key}, tmp_path)
    assert key not in str(refusal.value)
    assert not (tmp_path / "secret_key").exists()


def test_b153_without_a_key_one_is_made_once_that_nobody_else_can_read(tmp_path):
    """A first start needs no setting at all, and no two installations share a key."""
    first = read_secret_key({}, tmp_path)
    assert read_secret_key({"LABEL_AUDIT_SECRET_KEY": " "}, tmp_path) == first
    assert len(first) >= 40
    assert stat.S_IMODE((tmp_path / "secret_key").stat().st_mode) == 0o600
    assert read_secret_key({"LABEL_AUDIT_SECRET_KEY": STRONG}, tmp_path) == STRONG


@pytest.mark.parametrize("said", ["maybe", "1", "yes", "on", "tru", "Falsch", "true false"])
def test_b153_a_switch_is_true_or_false(said):
    with pytest.raises(SettingError, match="LABEL_AUDIT_DEBUG must be true or false"):
        read_flag({"LABEL_AUDIT_DEBUG": said}, "LABEL_AUDIT_DEBUG", default=False)


@pytest.mark.parametrize(
    "address",
    ["nonsense", "mysql://u:hunter2@h/n", "http://h", "postgres://u:hunter2@h:port/n",
     "postgres://u:hunter2@h:99999/n", "sqlite://"],
)  # fmt: skip
def test_b154_an_address_of_no_database_is_refused_without_its_password(tmp_path, address):
    with pytest.raises(SettingError, match="LABEL_AUDIT_DATABASE") as refusal:
        read_database({"LABEL_AUDIT_DATABASE": address}, tmp_path)
    assert "hunter2" not in str(refusal.value)


def test_b154_where_the_database_is_away_doctor_fails_and_a_worker_says_so_and_waits(tmp_path):
    """A worker may be started before its database: what starts it again would only start it."""
    away = "postgres://a:hunter2@127.0.0.1:9/x"
    log = tmp_path / "log"
    with (
        log.open("wb") as file,
        subprocess.Popen(
            [sys.executable, "manage.py", "worker"],
            cwd=ROOT,
            env=os.environ | {"LABEL_AUDIT_HOME": str(tmp_path), "LABEL_AUDIT_DATABASE": away},
            stdout=file,
            stderr=subprocess.STDOUT,
        ) as worker,
    ):
        try:
            done = run_manage(tmp_path, away, "doctor")
            wait_until(lambda: "Connection refused" in log.read_text(), "the worker says so")
            assert worker.poll() is None
        finally:
            end_tree(worker.pid)
    assert done.returncode == 1
    assert "can't be reached" in done.stdout
    assert "hunter2" not in done.stdout + done.stderr + log.read_text()


def place_file(folder: Path) -> Path:
    (folder / "file").write_text("")
    return folder / "file"


@pytest.mark.parametrize(
    "make",
    [
        place_file,
        lambda folder: place_file(folder) / "inside",
        lambda _: Path("/proc/none"),
        lambda _: Path("/dev/null/none"),
        lambda folder: folder / ("x" * 300),
    ],
    ids=["a file", "below a file", "no file system", "below a device", "too long a name"],
)
def test_b156_a_home_that_is_no_folder_is_refused_by_the_variables_name(tmp_path, make):
    with pytest.raises(SettingError, match="LABEL_AUDIT_HOME"):
        read_home({"LABEL_AUDIT_HOME": str(make(tmp_path))}, tmp_path)


LEAN = (
    "tests/audit/test_figures.py",
    "tests/audit/test_loaders_jsonl_mcq.py",
    "tests/audit/test_redaction.py",
    "tests/reviews/test_categories.py",
    "tests/scoring/test_binning.py",
    *("-k", "not b076 and not b078 and not b081 and not b096"),  # large, and the same anywhere
)


def test_b157_neither_clock_nor_language_nor_a_bare_locale_changes_anything():
    """Python reads text as ASCII there unless it is told otherwise, and Turkish has two i."""
    place = {
        "TZ": "Pacific/Kiritimati",
        "LANG": "tr_TR.UTF-8",
        "LC_ALL": "C",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONUTF8": "0",
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *LEAN],
        cwd=ROOT,
        env=os.environ | place,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize(("mask", "command"), [("000", "migrate"), ("077", "check")])
def test_b158_any_umask_no_home_and_no_current_folder(tmp_path, mask, command):
    """A home that the administrator made, open to all, gets no file that others may change."""
    home, gone = tmp_path / "installed", tmp_path / "gone"
    home.mkdir()
    gone.mkdir()
    script = f'cd "{gone}" && rmdir "{gone}" && umask {mask} && exec "$@"'
    started = [sys.executable, str(ROOT / "manage.py"), command, "--verbosity", "0"]
    environ = {name: value for name, value in os.environ.items() if name != "HOME"}
    done = subprocess.run(
        ["sh", "-c", script, "sh", *started],
        env=environ | {"LABEL_AUDIT_HOME": str(home), "LABEL_AUDIT_DATABASE": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.rglob("*")}
    assert modes["secret_key"] == 0o600
    assert command == "check" or modes["label-audit.sqlite3"] & 0o137 == 0
    assert all(mode & 0o027 == 0 for mode in modes.values()), modes


def migrate_twice(home: Path, database: str) -> list[str]:
    """Start two migrations at a time; return what they say."""
    with ThreadPoolExecutor(2) as pool:
        both = list(
            pool.map(lambda _: run_manage(home, database, "migrate", "--verbosity", "1"), range(2))
        )
    assert [each.returncode for each in both] == [0, 0], [each.stderr[-300:] for each in both]
    return [each.stdout for each in both]


def applied(said: list[str]) -> list[int]:
    return sorted(text.count("Applying") for text in said)


def test_b159_of_two_migrations_at_once_one_works_and_the_other_waits(tmp_path):
    n_none, n_all = applied(migrate_twice(tmp_path, ""))
    assert n_none == 0
    assert n_all > 10


@pytest.mark.service
def test_b159_of_two_migrations_at_once_one_waits_on_postgresql_too(tmp_path, postgresql_url):
    n_none, n_all = applied(migrate_twice(tmp_path, make_database(postgresql_url, "at_once")))
    assert n_none == 0
    assert n_all > 10


def numbers_read() -> dict[str, dict[str, int]]:
    """Return default, minimum and maximum of every number that the settings read, by its name."""
    found = {}
    for node in ast.walk(ast.parse(SETTINGS.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "read_number":
            limits = {each.arg: ast.literal_eval(each.value) for each in node.keywords}
            found[ast.literal_eval(node.args[1])] = limits
    return found


NUMBERS = numbers_read()
# The matrix names a row for these; whatever else the settings read is held to the same.
ROWS = {
    "LABEL_AUDIT_LEASE_SECONDS": pytest.mark.row("B161"),
    "LABEL_AUDIT_CHUNK_ITEMS": pytest.mark.row("B162"),
    "LABEL_AUDIT_CHUNK_SECONDS": pytest.mark.row("B167"),
}
BY_NAME = [
    pytest.param(name, id=name, marks=[ROWS[name]] if name in ROWS else []) for name in NUMBERS
]


@pytest.mark.parametrize("name", BY_NAME)
def test_a_number_of_the_settings_lies_between_its_limits(name):
    limits = NUMBERS[name]
    low, high = limits["minimum"], limits["maximum"]
    assert low <= limits["default"] <= high
    for value in (low, high, limits["default"]):
        assert read_number({name: str(value)}, name, **limits) == value
    assert read_number({name: " "}, name, **limits) == limits["default"]
    nonsense = ["1.5", "1e3", "NaN", "inf", "0x10", "\u0661", "1_0", "9" * 5_000, "-0", "+5", "ten"]
    for value in (str(low - 1), str(high + 1), *nonsense):
        with pytest.raises(SettingError, match=f"{name} must be a whole number from {low} to"):
            read_number({name: value}, name, **limits)


def test_every_number_the_matrix_asks_for_is_among_the_settings():
    assert set(ROWS) <= set(NUMBERS)
    assert len(NUMBERS) >= 6


def test_a_number_out_of_its_limits_stops_the_start_with_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env={"LABEL_AUDIT_HOME": str(tmp_path), "LABEL_AUDIT_LEASE_SECONDS": "29", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    said = "LABEL_AUDIT_LEASE_SECONDS must be a whole number from 30 to 86400, got '29'\n"
    assert done.stderr == said


@pytest.mark.parametrize(
    ("command", "option", "low", "high"),
    [
        pytest.param("serve", "--workers", 1, 64, marks=pytest.mark.row("B163")),
        pytest.param("worker", "--concurrency", 1, 64, marks=pytest.mark.row("B163")),
        ("serve", "--port", 1, 65_535),
    ],
)
def test_a_number_on_the_command_line_lies_between_its_limits(command, option, low, high):
    for value in (low - 1, high + 1, "", "1.5", "many"):
        with pytest.raises(CommandError, match=f"a whole number from {low} to {high}"):
            call_command(command, f"{option}={value}")
    module = __import__(f"audit.management.commands.{command}", fromlist=["Command"])
    parser = module.Command().create_parser("manage.py", command)
    for value in (low, high):
        parsed = vars(parser.parse_args([f"{option}={value}"]))
        assert parsed[option.removeprefix("--")] == value


def test_a_mask_that_keeps_others_from_writing_is_left_as_it_is():
    before = os.umask(0o022)
    try:
        for mask, kept in ((0o022, 0o022), (0o077, 0o077), (0o000, 0o027), (0o002, 0o027)):
            os.umask(mask)
            environment.keep_from_others()
            assert os.umask(0o022) == kept
    finally:
        os.umask(before)
