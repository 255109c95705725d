"""`make docs` builds, without a warning, a whole site that loads nothing from elsewhere."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.test_docs import our_commands

ROOT = Path(__file__).resolve().parents[1]
LOADING = {  # what a browser fetches by itself, and the attribute that says from where
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "audio": "src",
    "video": "src",
    "embed": "src",
    "object": "data",
    "link": "href",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site as `make docs` builds it, warnings being errors; once for all processes."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "site"
    with (shared / "site.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "built").exists():
            build(folder)
            (folder / "built").touch()
    return folder


def build(folder: Path) -> None:
    recipe = re.search(r"^docs:.*\n\t\$\(VENV\)/bin/python (.*)$", read("Makefile"), re.MULTILINE)
    assert recipe is not None
    assert "-W" in recipe[1]
    arguments = recipe[1].replace("docs/_build $(ARGS)", str(folder)).split()
    built = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert built.returncode == 0, built.stderr


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Page]:
    """Every page of the site, read."""
    return {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


class Page(HTMLParser):
    """What a page loads, where it links to, and what can be linked to in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.names |= {given["id"] or ""} if "id" in given else set()
        address = given.get(LOADING.get(tag, ""))
        if address:
            self.loaded.append(address)
        if tag == "a" and given.get("href"):
            self.links.append(given["href"] or "")


def is_external(address: str) -> bool:
    return address.startswith("//") or re.match(r"[a-z]+:", address) is not None


def test_pages_load_nothing_from_elsewhere(site, pages):
    assert len(pages) > 20
    loaded = {address for page in pages.values() for address in page.loaded}
    assert len(loaded) > 10
    assert [address for address in loaded if is_external(address)] == []
    for style in site.rglob("*.css"):
        text = style.read_text(encoding="utf-8")
        addresses = re.findall(r"url\(['\"]?([^)'\"]+)|@import ['\"]([^'\"]+)", text)
        flat = [url or imported for url, imported in addresses]
        assert [a for a in flat if is_external(a) and not a.startswith("data:")] == [], style


def test_every_link_of_the_site_leads_somewhere(site, pages):
    dead = []
    for path, page in pages.items():
        for link in page.links:
            if is_external(link):
                continue
            name, _, anchor = link.partition("#")
            target = (path.parent / name).resolve() if name else path
            known = pages[target].names if target in pages else {anchor}
            if not target.exists() or (anchor and anchor not in known):
                dead.append(f"{path.relative_to(site)}: {link}")
    assert dead == []


def test_every_command_s_help_is_on_the_page_of_options(site):
    page = (site / "reference" / "options.html").read_text(encoding="utf-8")
    for command in our_commands():
        assert re.search(rf"usage: manage\.py {command}\s", page), command
    assert "--stratum-votes" in page
    assert "--pythonpath PYTHONPATH" not in page


def test_the_library_s_page_holds_its_functions_with_their_words(site, pages):
    names = pages[site / "reference" / "scoring.html"].names
    assert {"temperaturescaler", "calibrated-ensemble", "balanced-odds"} <= names


def test_every_picture_is_shown_in_light_and_in_dark_and_they_are_small():
    pictures = {path.stem for path in (ROOT / "docs" / "images").glob("*.png")}
    assert len(pictures) >= 20
    shown = "".join(read(str(page.relative_to(ROOT))) for page in (ROOT / "docs").rglob("*.md"))
    for name in pictures:
        assert f"images/{name}.png" in shown, f"{name} is shown nowhere"
        assert f"{name.removesuffix('-dark')}-dark" in pictures
        assert name.removesuffix("-dark") in pictures
    sizes = [path.stat().st_size for path in (ROOT / "docs" / "images").iterdir()]
    assert sum(sizes) < 2_000_000
