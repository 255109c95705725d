"""Fetch a timm model's weights from the hub, once, at a pinned revision."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from scoring.experts.base import ExpertRefused, UnknownExpertError
from scoring.experts.registry import parse_expert
from scoring.experts.weights_file import read_header

WEIGHTS = "model.safetensors"


@dataclass(frozen=True, slots=True)
class FetchedWeights:
    """Weights that lie in the installation's models folder, and where they came from."""

    expert: str
    path: str
    repository: str
    revision: str
    sha256: str


def fetch_timm(name: str, weights_root: Path, *, revision: str | None = None) -> FetchedWeights:
    """Download ``timm:NAME`` to ``weights_root/timm/NAME.safetensors`` and say what came.

    ``revision`` pins a commit of the hub's repository; without it, the newest commit is looked up
    first and then pinned. The file is checked like any other weights file before it gets its
    place; beside it a JSON file keeps repository, revision and sha256.

    Raises ``UnknownExpertError`` for a name that has no weights on the hub and ``ExpertRefused``
    when the hub can't be reached or what it sent isn't acceptable.
    """
    model = parse_expert(name, weights_root=weights_root).model
    import timm
    from httpx2 import HTTPError  # what the hub's client raises, its own errors included
    from huggingface_hub import HfApi, hf_hub_download

    try:
        config = timm.get_pretrained_cfg(model)
    except RuntimeError as error:  # how timm says that a tag does not exist
        raise UnknownExpertError(str(error)) from error
    if config is None or not config.hf_hub_id:
        raise UnknownExpertError(f"timm knows no weights of {model!r} on the hub")
    repository = str(config.hf_hub_id)
    try:
        pinned = revision or HfApi().model_info(repository).sha
        downloaded = hf_hub_download(repository, WEIGHTS, revision=pinned)
    except (HTTPError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        message = f"{repository} can't be fetched: {reason}"
        raise ExpertRefused("hub", message) from error
    target = weights_root / "timm" / f"{model}.safetensors"
    _place(Path(downloaded), target)
    with target.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    fetched = FetchedWeights(name, str(target), repository, str(pinned), sha256)
    target.with_suffix(".json").write_text(
        json.dumps(asdict(fetched), indent=1) + "\n", encoding="utf-8"
    )
    return fetched


def _place(downloaded: Path, target: Path) -> None:
    """Check the download and move a copy of it to its place in one step."""
    read_header(downloaded)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        shutil.copyfile(downloaded, temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
