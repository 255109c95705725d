"""The installation's settings as the environment gives them, checked before Django starts."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import environ

from scoring.experts.endpoints import Endpoint, EndpointError, parse_endpoints

KNOWN_BAD_KEYS = ("django-insecure", "secret", "changeme", "change-me")
MIN_KEY_LENGTH = 40
MIN_TOKEN_LENGTH = 20


class SettingError(ValueError):
    """A setting has a value that the installation can't run with."""


def read_flag(env: Mapping[str, str], name: str, *, default: bool) -> bool:
    """Return a yes/no setting; anything but true or false is refused."""
    raw = env.get(name, "").strip().lower()
    if not raw:
        return default
    if raw not in {"true", "false"}:
        raise SettingError(f"{name} must be true or false, got {raw!r}")
    return raw == "true"


def read_number(
    env: Mapping[str, str], name: str, *, default: int, minimum: int, maximum: int
) -> int:
    """Return a whole number within [minimum, maximum]."""
    raw = env.get(name, "").strip()
    if not raw:
        return default
    # Python reads no number of thousands of digits; none of ours has more than twelve.
    is_number = raw.isascii() and raw.isdigit() and len(raw) <= 12
    if not is_number or not minimum <= int(raw) <= maximum:
        raise SettingError(
            f"{name} must be a whole number from {minimum} to {maximum}, got {raw[:40]!r}"
        )
    return int(raw)


def read_list(env: Mapping[str, str], name: str, *, default: list[str]) -> list[str]:
    """Return a comma-separated setting."""
    values = [part.strip() for part in env.get(name, "").split(",")]
    return [value for value in values if value] or default


def read_choice(env: Mapping[str, str], name: str, *, choices: Sequence[str]) -> str:
    """Return one of the words allowed, the first of them where nothing is set."""
    raw = env.get(name, "").strip().lower()
    if not raw:
        return choices[0]
    if raw not in choices:
        raise SettingError(f"{name} must be one of {', '.join(choices)}, got {raw!r}")
    return raw


def read_home(env: Mapping[str, str], checkout: Path) -> Path:
    """Return the folder that holds this installation's state, made private on first use."""
    home = Path(env.get("LABEL_AUDIT_HOME", "").strip() or checkout / "var").expanduser().resolve()
    try:
        if home.exists() and not home.is_dir():
            raise SettingError(f"LABEL_AUDIT_HOME is not a folder: {home}")
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise SettingError(
            f"LABEL_AUDIT_HOME can't be made: {home}: {error.strerror or error}"
        ) from error
    return home


def read_database(env: Mapping[str, str], home: Path) -> dict[str, Any]:
    """Return Django's settings of the database; without an address, SQLite in the home folder."""
    address = env.get("LABEL_AUDIT_DATABASE", "").strip()
    known = ("postgres://", "postgresql://", "sqlite:///")
    if address and not address.startswith(known):
        # Without the address, which may hold a password.
        raise SettingError(f"LABEL_AUDIT_DATABASE must begin with {' or '.join(known)}")
    try:
        found: dict[str, Any] = environ.Env.db_url_config(
            address or f"sqlite:///{home / 'label-audit.sqlite3'}"
        )
    except ValueError as error:
        raise SettingError("LABEL_AUDIT_DATABASE is no address of a database") from error
    return found


def keep_from_others() -> None:
    """Where files would be open to everybody's writing, keep new ones from others altogether."""
    mask = os.umask(0o077)
    os.umask(mask if mask & 0o022 == 0o022 else mask | 0o027)


def read_secret_key(env: Mapping[str, str], home: Path) -> str:
    """Return the configured key, or the installation's own, generated once with mode 0600."""
    key = env.get("LABEL_AUDIT_SECRET_KEY", "").strip()
    if key:
        weak = len(key) < MIN_KEY_LENGTH or any(bad in key.lower() for bad in KNOWN_BAD_KEYS)
        if weak:
            raise SettingError(
                f"LABEL_AUDIT_SECRET_KEY must be at least {MIN_KEY_LENGTH} random characters"
            )
        return key
    path = home / "secret_key"
    if not path.exists():
        # Whole before it has its name: a process that starts at the same time reads it all.
        temporary = home / f".secret_key.{os.getpid()}"
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(48))
        with suppress(FileExistsError):
            os.link(temporary, path)
        temporary.unlink()
    return path.read_text(encoding="ascii")


def read_token(env: Mapping[str, str], name: str) -> str:
    """Return a token of printable ASCII without blanks that can't be guessed, or nothing."""
    token = env.get(name, "").strip()
    if token and (
        len(token) < MIN_TOKEN_LENGTH
        or not token.isascii()
        or not token.isprintable()
        or " " in token
    ):
        raise SettingError(f"{name} must be at least {MIN_TOKEN_LENGTH} random characters of ASCII")
    return token


def read_endpoints(env: Mapping[str, str]) -> dict[str, Endpoint]:
    """Return the model servers by name, without their keys."""
    try:
        return parse_endpoints(env.get("LABEL_AUDIT_ENDPOINTS", ""))
    except EndpointError as error:
        raise SettingError(f"LABEL_AUDIT_ENDPOINTS: {error}") from error


def read_endpoint_key(env: Mapping[str, str], home: Path, name: str) -> str:
    """Return an endpoint's key, empty if it has none: by its variable, else by its file.

    The file is ``endpoint_keys/NAME`` in the home folder, which others must not be able to read.
    """
    variable = f"LABEL_AUDIT_ENDPOINT_{name.upper().replace('-', '_')}_KEY"
    if key := env.get(variable, "").strip():
        return _check_key(key, variable)
    path = home / "endpoint_keys" / name
    try:
        if path.stat().st_mode & stat.S_IRWXO:
            raise SettingError(f"{path} can be read by everybody: chmod 600 it")
        return _check_key(path.read_text(encoding="utf-8").strip(), str(path))
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{path} can't be read: {type(error).__name__}") from error


def _check_key(key: str, source: str) -> str:
    if not key.isascii() or not key.isprintable() or " " in key:
        raise SettingError(f"{source} holds no key: one line of printable ASCII without blanks")
    return key
