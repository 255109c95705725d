"""The shape of the house, held by the machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WEB = """
import sys
import django
django.setup()
from django.urls import get_resolver
get_resolver().url_patterns
import audit.config.wsgi, audit.tasks, reviews.tasks
heavy = {"torch", "torchvision", "timm", "transformers", "sklearn", "pandas", "matplotlib"}
print(",".join(sorted(heavy & set(sys.modules))))
"""


def test_the_web_process_loads_no_heavy_library():
    done = subprocess.run(
        [sys.executable, "-c", WEB],
        cwd=ROOT,
        env={"DJANGO_SETTINGS_MODULE": "audit.config.settings", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == ""


def test_the_scoring_library_works_without_django():
    code = "import sys, scoring.calibration, scoring.cleaning; print('django' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
