"""Settings, secrets, files, disk space, libraries."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from uuid import uuid4

from django.conf import settings
from packaging.requirements import Requirement

from audit.checkup.findings import Finding, fine, problem, warn
from audit.config.environment import MIN_KEY_LENGTH
from audit.config.settings import BASE_DIR
from audit.score_files import score_files

LOOPBACK = {"localhost", "127.0.0.1", "[::1]"}
LITTLE_SPACE, NO_SPACE = 5_000_000_000, 500_000_000
PROBE = "doctor"
# A random key of forty characters has more than twenty different ones.
FEW_CHARACTERS = 12


def check_settings() -> Iterator[Finding]:
    """Look at what the environment says."""
    if settings.DEBUG:
        advice = "unset LABEL_AUDIT_DEBUG: its pages show settings and data to anybody"
        yield problem("debug pages", "they are on", advice)
    advice = "remove secret_key from the home folder: a new one is made, everybody logs in anew"
    if len(settings.SECRET_KEY) < MIN_KEY_LENGTH:
        yield problem("secret key", f"it has {len(settings.SECRET_KEY)} characters", advice)
    elif (n_different := len(set(settings.SECRET_KEY))) < FEW_CHARACTERS:
        yield problem("secret key", f"it has {n_different} different characters", advice)
    else:
        yield fine("secret key", f"{len(settings.SECRET_KEY)} characters")
    others = sorted(set(settings.ALLOWED_HOSTS) - LOOPBACK)
    if "*" in others:
        advice = "list the site's names in LABEL_AUDIT_HOSTS: with * anybody can name the site"
        yield problem("host names", "every name is answered", advice)
    elif others and not settings.BEHIND_HTTPS:
        advice = "put a proxy in front that ends TLS and set LABEL_AUDIT_HTTPS=true"
        yield warn(
            "host names", f"{', '.join(others)} without HTTPS: passwords can be read", advice
        )
    else:
        yield fine("host names", ", ".join(settings.ALLOWED_HOSTS))


def check_files() -> Iterator[Finding]:
    """Look at who may read the secrets, and at what pages need from disk."""
    home = settings.LABEL_AUDIT_HOME
    private = [home, home / "secret_key", *sorted((home / "endpoint_keys").glob("*"))]
    for path in (*private, *sorted(home.glob("*.sqlite3"))):
        if path.exists() and (mode := stat.S_IMODE(path.stat().st_mode)) & 0o077:
            wanted = "700" if path.is_dir() else "600"
            said = f"others may read it ({mode:o})"
            yield problem(str(path), said, f"chmod {wanted} {path}")
    env_file = BASE_DIR / ".env"
    if env_file.exists() and stat.S_IMODE(env_file.stat().st_mode) & 0o007:
        yield warn(str(env_file), "everybody may read it", f"chmod 640 {env_file}")
    missing = [
        name for name, file in settings.NPM_FILES.items() if not (settings.NPM_ROOT / file).exists()
    ]
    if missing:
        yield problem("front-end files", f"missing: {', '.join(missing)}", "run `make setup`")
    else:
        yield fine("front-end files", f"{len(settings.NPM_FILES)} libraries")


def check_space() -> Iterator[Finding]:
    """Look at whether this installation can write, and for how long."""
    home = settings.LABEL_AUDIT_HOME
    probe = home / f".{PROBE}-{os.getpid()}"
    try:
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        yield problem(
            "home folder",
            f"{home} can't be written: {error.strerror}",
            "give its owner, the user who runs this, the right to write",
        )
        return
    free = shutil.disk_usage(home).free
    said = f"{free / 1e9:.1f} GB free in {home}"
    if free < NO_SPACE:
        yield problem("disk space", said, "make room: work waits while the disk is full")
    elif free < LITTLE_SPACE:
        yield warn("disk space", said, "make room before it is gone")
    else:
        yield fine("disk space", said)


def check_score_store() -> Iterator[Finding]:
    """Write, read and remove a small file where scores lie."""
    key, content = f"{PROBE}/{uuid4()}", [b"can this be read back?"]
    where = settings.SCORE_STORE or "the home folder"
    try:
        files = score_files()
        digest = files.put(key, content)
        files.forget(digest)
        read = files.locate(key, digest).read_bytes()
        files.remove(key)
        files.forget(digest)
    except OSError as error:
        yield problem(
            "score store",
            f"{where}: {error}",
            "check LABEL_AUDIT_SCORE_STORE, the bucket, and the AWS_ variables",
        )
        return
    if read != b"".join(content):
        yield problem("score store", f"{where}: what is read isn't what was written", "check it")
    else:
        yield fine("score store", where)


def check_libraries() -> Iterator[Finding]:
    """Compare the installed libraries with what this version needs; nothing is imported."""
    wrong = []
    wanted = [Requirement(each) for each in requires("label-audit") or []]
    for requirement in (each for each in wanted if not each.marker):
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            wrong.append(f"{requirement.name} is {installed}, needed {requirement.specifier}")
    if wrong:
        yield problem("libraries", "; ".join(wrong), "run `make setup`")
    else:
        yield fine("libraries", f"{len(wanted)} as needed")


def mounted_from(path: Path) -> str:
    """Return the kind of file system a path is on (Linux; empty elsewhere)."""
    try:
        lines = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    mounts = [line.split()[1:3] for line in lines]
    on = [(point, kind) for point, kind in mounts if path.is_relative_to(point)]
    return max(on, key=lambda each: len(each[0]), default=("", ""))[1]
