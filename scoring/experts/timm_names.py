"""The architecture names timm knows, read from its source text.

Importing timm imports torch and takes seconds; the web process may not do it, and a misspelt name
should be refused at once. timm registers every model as a decorated function, so its names can be
listed without running it.
"""

from __future__ import annotations

import difflib
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_REGISTERED = re.compile(r"^@register_model\s*\ndef (\w+)\(", re.MULTILINE)


@cache
def list_architectures() -> tuple[str, ...]:
    """Return the installed timm's architecture names, sorted; none when timm is not installed."""
    spec = find_spec("timm")
    if spec is None or not spec.submodule_search_locations:
        return ()
    models = Path(spec.submodule_search_locations[0]) / "models"
    names: set[str] = set()
    for source in models.glob("*.py"):
        names.update(_REGISTERED.findall(source.read_text(encoding="utf-8")))
    return tuple(sorted(names))


def is_architecture(name: str) -> bool:
    """Say whether ``name``, with or without a ``.tag`` of pretrained weights, is known."""
    return name.partition(".")[0] in list_architectures()


def suggest_architectures(name: str) -> list[str]:
    """Return up to five known names that look like ``name``, the closest first."""
    architecture = name.partition(".")[0]
    return difflib.get_close_matches(architecture, list_architectures(), n=5, cutoff=0.6)
