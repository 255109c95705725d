"""Builds the documentation's site: `make docs`, then open docs/_build/index.html.

The options of commands and the functions of `scoring` are written while it is built, from what
the code itself says, so that they can't be out of date.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
import tomllib
from pathlib import Path

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path[:0] = [str(ROOT), str(DOCS)]
# The settings want a home folder; the one of an installation is none of the build's business.
os.environ["LABEL_AUDIT_HOME"] = tempfile.mkdtemp(prefix="label-audit-docs-")
atexit.register(shutil.rmtree, os.environ["LABEL_AUDIT_HOME"], ignore_errors=True)
os.environ["DJANGO_SETTINGS_MODULE"] = "audit.config.settings"

project = "Label audit"
version = release = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
copyright = "the authors of Label audit"  # noqa: A001 - Sphinx wants this name

extensions = ["myst_parser", "generated_pages"]
myst_enable_extensions = ["attrs_inline", "colon_fence"]
myst_heading_anchors = 4
exclude_patterns = ["_build", "examples"]
highlight_language = "text"
smartquotes = False  # figures and commands are to be copied as they stand

html_theme = "furo"
html_title = "Label audit"
html_favicon = "../static/icon.png"
html_static_path = ["_static"]
html_css_files = ["docs.css"]
html_show_sphinx = False
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
