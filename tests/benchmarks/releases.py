"""Builds every format of a release for 50,000 and for 1.28 million items, and prints the table.

`python -m tests.benchmarks.releases [--items N ...] [--formats F ...]`. Each build is a process of
its own: CPU seconds and peak memory are the process's, imports and verification left out of the
seconds. It is built twice, compared by hash, then one byte of its largest file is flipped.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SIZES = (50_000, 1_280_000)
HEAD = (
    "| items | format | CPU s | wall s | peak MB | bytes | same twice | flipped byte found |\n"
    "|---|---|---|---|---|---|---|---|\n"
)
EMBEDDED = "hf-images"  # last, and of 50,000 alone: each picture is there then, a small one
OF_QUESTIONS = ("mmlu-csv",)  # the others' own questions are much like their pictures


def seed(n_items: int) -> None:
    """Make the data sets in the environment's installation; print their audits."""
    from django.core.management import call_command

    from tests.benchmarks.release_seed import seed_pictures, seed_questions

    call_command("migrate", verbosity=0)
    audits = {"pictures": seed_pictures(n_items).pk, "questions": seed_questions(n_items).pk}
    sys.stdout.write(json.dumps(audits))


def give_pictures(audit_id: int) -> None:
    """Let every item have a picture: the same digit-sized one, read and hashed for each."""
    from tests.benchmarks.release_seed import give_pictures

    give_pictures(audit_id)
    sys.stdout.write("null")


def build(audit_id: int, name: str, folder: Path) -> None:
    """Build one release and print what it took."""
    from audit.models import Audit
    from reviews.decisions import Snapshot
    from reviews.release_files import export_release
    from reviews.release_formats.registry import FORMATS

    audit = Audit.objects.select_related("dataset").get(pk=audit_id)
    assert name in FORMATS
    cpu, wall = time.process_time(), time.perf_counter()
    manifest = export_release(audit, "lenient", Snapshot.now(audit), folder, [name])
    figures = {
        "cpu": time.process_time() - cpu,
        "wall": time.perf_counter() - wall,
        "peak_mb": peak_megabytes(),
        "sha256": manifest["sha256"],
        "bytes": sum(file["bytes"] for file in manifest["files"].values()),
        "largest": max(manifest["files"], key=lambda file: manifest["files"][file]["bytes"]),
    }
    sys.stdout.write(json.dumps(figures))


def peak_megabytes() -> float:
    """Return this process's own peak; what `getrusage` tells counts its parent's in."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (peak,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(peak) * 1024 / 1e6


def run(*arguments: object, home: Path) -> Any:
    """Do one thing in a process of its own and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.releases", *map(str, arguments)],
        env={**os.environ, "LABEL_AUDIT_HOME": str(home), "LABEL_AUDIT_DATABASE": ""},
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


def measure(audit_id: int, name: str, home: Path) -> dict[str, Any]:
    """Build one format twice and return the lesser of both times, with what was compared."""
    from audit.hashed_folders import verify_folder

    folders = [home / "first", home / "second"]
    figures = [run("build", audit_id, name, folder, home=home) for folder in folders]
    is_intact = verify_folder(folders[1]) == []
    largest = folders[1] / figures[1]["largest"]
    with largest.open("r+b") as stream:
        stream.seek(largest.stat().st_size // 2)
        byte = stream.read(1)
        stream.seek(-1, os.SEEK_CUR)
        stream.write(bytes([byte[0] ^ 1]))
    is_found = verify_folder(folders[1]) == [f"{figures[1]['largest']} is changed"]
    for folder in folders:
        shutil.rmtree(folder)
    return {
        **min(figures, key=lambda each: float(each["cpu"])),
        "peak_mb": max(each["peak_mb"] for each in figures),
        "same": figures[0]["sha256"] == figures[1]["sha256"],
        "found": is_intact and is_found,
    }


def print_table(sizes: list[int], formats: list[str]) -> None:
    """Print one line per size and format as soon as it is known."""
    sys.stdout.write(HEAD)
    for n_items in sizes:
        with tempfile.TemporaryDirectory(prefix="label-audit-releases-") as folder:
            home = Path(folder)
            audits = run("seed", n_items, home=home)
            for name in sorted(formats, key=lambda each: each == EMBEDDED):
                if name == EMBEDDED:
                    if n_items > SIZES[0]:
                        continue
                    run("pictures", audits["pictures"], home=home)
                audit = audits["questions" if name in OF_QUESTIONS else "pictures"]
                said = measure(audit, name, home)
                same, found = ("yes" if said[key] else "NO" for key in ("same", "found"))
                sys.stdout.write(
                    f"| {n_items:,} | `{name}` | {said['cpu']:.1f} | {said['wall']:.1f} "
                    f"| {said['peak_mb']:.0f} | {said['bytes']:,} | {same} | {found} |\n"
                )
                sys.stdout.flush()


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "audit.config.settings"
    import django

    django.setup()
    from reviews.release_formats.registry import FORMATS

    if sys.argv[1:2] == ["seed"]:
        seed(int(sys.argv[2]))
    elif sys.argv[1:2] == ["pictures"]:
        give_pictures(int(sys.argv[2]))
    elif sys.argv[1:2] == ["build"]:
        build(int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
    else:
        parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.releases")
        parser.add_argument("--items", type=int, nargs="+", default=list(SIZES))
        parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS))
        options = parser.parse_args()
        print_table(options.items, options.formats)


if __name__ == "__main__":
    main()
