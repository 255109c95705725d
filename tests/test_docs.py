"""The documentation names every command and setting there is, and none that there isn't."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from django.core.management import get_commands, load_command_class

ROOT = Path(__file__).resolve().parents[1]
VARIABLE = re.compile(r"LABEL_AUDIT_[A-Z_]+")
# Set by whoever runs the tests, or constants of the settings module.
NOT_SETTINGS = {
    "LABEL_AUDIT_TEST_DATA",
    "LABEL_AUDIT_VERSION",
    "LABEL_AUDIT_ANNOUNCERS",
    "LABEL_AUDIT_RECONCILERS",
    "LABEL_AUDIT_PROBES",
    "LABEL_AUDIT_GAUGES",
}
OF_EVERY_COMMAND = {
    "--help",
    "--json",
    *("--version", "--verbosity", "--settings", "--pythonpath", "--traceback"),
    *("--no-color", "--force-color", "--skip-checks"),
}
OF_EVERY_COMMAND = {
    "--help",
    "--json",
    *("--version", "--verbosity", "--settings", "--pythonpath", "--traceback"),
    *("--no-color", "--force-color", "--skip-checks"),
}


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def our_commands() -> set[str]:
    return {name for name, app in get_commands().items() if app in {"audit", "reviews"}}


def test_every_command_is_documented_and_exists():
    first_cells = re.findall(
        r"^\| `([a-z_]+)", read("docs/reference/commands.md"), flags=re.MULTILINE
    )
    assert set(first_cells) == our_commands()


def test_the_table_of_commands_names_every_option_there_is_and_none_that_there_isn_t():
    for row in re.findall(r"^\| `[a-z_]+.*$", read("docs/reference/commands.md"), re.MULTILINE):
        name = re.match(r"\| `([a-z_]+)", row)[1]
        parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)
        known = {option for action in parser._actions for option in action.option_strings}
        own = {option for option in known if option.startswith("--")} - OF_EVERY_COMMAND
        if name == "migrate":  # Django's own options, which it documents itself
            own = set()
        said = set(re.findall(r"--[a-z][a-z-]*", row)) - OF_EVERY_COMMAND
        assert said == own, name


def test_g13_every_setting_is_documented_and_exists():
    code = read("audit/config/settings.py") + read("audit/config/environment.py")
    documented = set(VARIABLE.findall(read("docs/reference/settings.md")))
    assert documented == set(VARIABLE.findall(code)) - NOT_SETTINGS


def test_documented_commands_with_manage_py_exist():
    for page in [
        "README.md",
        *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md")),
    ]:
        for command in re.findall(r"manage\.py ([a-z_]+)", read(page)):
            assert command in our_commands() | {"migrate"}, f"{page}: manage.py {command}"


def test_documented_make_targets_exist():
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), flags=re.MULTILINE))
    assert {"demo", "test", "check", "bench", "serve", "worker"} <= targets
    for target in re.findall(r"`make ([a-z]+)|^make ([a-z]+)", read("README.md"), re.MULTILINE):
        assert (target[0] or target[1]) in targets


def test_links_between_pages_lead_somewhere():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


def test_no_file_holds_the_marks_of_a_conflict():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, timeout=60
    )
    paths = [ROOT / name.decode() for name in listed.stdout.split(b"\0") if name]
    assert len(paths) > 100
    marked = [
        str(path.relative_to(ROOT)) for path in paths if path.is_file() and has_conflict(path)
    ]
    assert marked == []


def has_conflict(path: Path) -> bool:
    """Whether a line starts as git marks one; a row of equal signs alone may be a heading's."""
    content = path.read_bytes()
    if b"\0" in content[:8000]:
        return False
    return re.search(rb"^(<<<<<<<|>>>>>>>|\|\|\|\|\|\|\|)( |$)", content, re.MULTILINE) is not None


def test_marks_of_a_conflict_are_noticed(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("ours\n" + "<" * 7 + " HEAD\n")
    assert has_conflict(path)
    path.write_text("a heading\n" + "=" * 7 + "\n")
    assert not has_conflict(path)
