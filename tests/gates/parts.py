"""The parts of the program that must not be wrong, their files, and the tests that hold them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Part:
    """``files`` are patterns below the root; ``tests`` are what is run, quickest sufficient.

    ``functions``, where given, are the only ones that count in a file of many purposes.
    """

    files: tuple[str, ...]
    tests: tuple[str, ...]
    functions: dict[str, tuple[str, ...]]

    def list_files(self) -> Iterator[Path]:
        for pattern in self.files:
            found = sorted(ROOT.glob(pattern))
            if not found:
                raise FileNotFoundError(pattern)
            yield from found

    def counts(self, file: Path, function: str) -> bool:
        """Whether a function, such as ``Class.method``, belongs to the part."""
        only = self.functions.get(file.relative_to(ROOT).as_posix())
        return only is None or function.rpartition(".")[2] in only


SCOPES = ("membership", "open_to", "adjudicable", "held_by", "claimable_by")

PARTS: dict[str, Part] = {
    "calibration": Part(
        files=(
            "scoring/calibration.py",
            "scoring/temperature.py",
            "scoring/expert_calibration.py",
            "scoring/confidence_calibrators.py",
        ),
        tests=(
            "tests/scoring/test_calibration.py",
            "tests/scoring/test_expert_calibration.py",
            "tests/scoring/test_last_pass.py",
        ),
        functions={},
    ),
    "flags": Part(
        files=("scoring/cleaning.py", "scoring/confident_learning.py", "scoring/binning.py"),
        tests=(
            "tests/scoring/test_cleaning.py",
            "tests/scoring/test_confident_learning.py",
            "tests/scoring/test_binning.py",
        ),
        functions={},
    ),
    "claims": Part(
        files=("audit/services/claims.py", "reviews/services/leases.py"),
        tests=(
            "tests/audit/test_claims.py",
            "tests/audit/test_chunks.py",
            "tests/reviews/test_leases.py",
            "tests/reviews/test_gold.py",
        ),
        functions={},
    ),
    "permissions": Part(
        files=(
            "audit/querysets.py",
            "reviews/querysets.py",
            "audit/views/access.py",
            "reviews/views/desk_access.py",
            "reviews/api/access.py",
            "audit/services/members.py",
            "reviews/services/members.py",
            "audit/services/api_tokens.py",
            "audit/templatetags/roles.py",
        ),
        tests=(
            "tests/test_access.py",
            "tests/reviews/test_members.py",
            "tests/audit/test_members.py",
            "tests/audit/test_querysets.py",
            "tests/api/test_access.py",
            "tests/api/test_not_ready.py",
            "tests/api/test_tokens.py",
            "tests/reviews/test_desk_views.py",
        ),
        functions={"audit/querysets.py": SCOPES, "reviews/querysets.py": SCOPES},
    ),
    "releases": Part(
        files=(
            "reviews/services/releases.py",
            "reviews/release_files.py",
            "reviews/release_manifest.py",
            "reviews/release_formats/*.py",
        ),
        tests=(
            "tests/reviews/test_releases.py",
            "tests/reviews/test_release_formats.py",
            "tests/reviews/test_release_snapshots.py",
            "tests/reviews/test_release_input_again.py",
            "tests/reviews/test_release_texts.py",
            "tests/reviews/test_policies.py",
        ),
        functions={},
    ),
}

CORE = Part(
    files=("scoring/*.py", "audit/services/*.py", "reviews/services/*.py"),
    tests=("tests/scoring", "tests/audit", "tests/reviews", "tests/api"),
    functions={},
)
