"""Gives the test run a home folder of its own before anything reads the settings."""

import os
import tempfile

os.environ["LABEL_AUDIT_HOME"] = tempfile.mkdtemp(prefix="label-audit-test-")
