"""What the web process loads: only what serving desks needs."""

from __future__ import annotations

import subprocess
import sys

LOADED = """
import sys
import audit.config.wsgi
from django.urls import get_resolver
assert len(get_resolver().url_patterns) > 3
print(*sys.modules)
"""
# Each takes several megabytes in every web process, and belongs to pages opened now and then.
HEAVY = ["scipy.special", "scipy.optimize", "sklearn", "pyarrow", "matplotlib", "pandas", "torch",
         "onnxruntime", "django.contrib.admin", "nltk", "ninja", "pydantic"]  # fmt: skip


def test_a_web_process_starts_without_the_libraries_that_desks_do_without(fresh_home):
    command = [sys.executable, "-c", LOADED]
    environment = {
        "PATH": "/usr/bin:/bin",
        "LABEL_AUDIT_HOME": str(fresh_home),
        "DJANGO_SETTINGS_MODULE": "audit.config.settings",
    }
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    loaded = set(printed.stdout.split())
    assert "reviews.views.desk" in loaded
    assert sorted(loaded & set(HEAVY)) == []
