"""Every test gets an installation of its own: a new, empty LABEL_AUDIT_HOME."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.language_server import language_server, tiny_model, tiny_model_folder
from tests.servers import (
    django_db_modify_db_settings,
    erasable_judgments,
    further_databases,
    postgresql_url,
)

__all__ = [
    "django_db_modify_db_settings",
    "empty_shelves",
    "erasable_judgments",
    "fresh_home",
    "further_databases",
    "language_server",
    "postgresql_url",
    "tiny_model",
    "tiny_model_folder",
]

os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # synchronous Playwright runs a loop


@pytest.fixture(scope="session", autouse=True)
def static_folder() -> None:
    """Make the folder of collected files: the session's live server warns where it is missing."""
    from django.conf import settings

    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)


@pytest.fixture(autouse=True)
def fresh_home(tmp_path: Path, settings) -> Path:
    """Point the running settings at an empty folder."""
    home = tmp_path / "home"
    home.mkdir()
    settings.LABEL_AUDIT_HOME = home
    settings.STATIC_ROOT = home / "static"
    settings.STATIC_ROOT.mkdir()
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return home


@pytest.fixture(autouse=True)
def empty_shelves() -> None:
    """Forget what processes keep: rolled back numbers are given again to other rows."""
    from audit.shelves import clear_shelves

    clear_shelves()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport]:
    """Where CI=true, a browser or service test that is skipped has failed."""
    report: pytest.TestReport = yield
    needed = item.get_closest_marker("browser") or item.get_closest_marker("service")
    if report.skipped and needed and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, where it must run: {report.longrepr}"
    return report
