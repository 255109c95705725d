"""Fetch a transformers model from the hub, once, at a pinned revision: safetensors, no code."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

from scoring.experts.base import ExpertRefused, UnknownExpertError
from scoring.experts.model_folder import check_model_folder
from scoring.experts.timm_fetch import FetchedWeights
from scoring.experts.transformers_names import folder_of_fetched, is_hub_name
from scoring.experts.transformers_weights import FETCHED, hash_file, hash_weights

# What a model needs. Weights in other formats and code are left on the hub.
WANTED = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]


def fetch_transformers(
    name: str, weights_root: Path, *, revision: str | None = None
) -> FetchedWeights:
    """Download ``transformers:OWNER/MODEL`` below ``weights_root`` and say what came.

    ``revision`` pins a commit of the hub's repository; without it, the newest commit is looked up
    first and then pinned. The folder is checked like any other model folder before it gets its
    place; a JSON file in it keeps repository, revision and the sha256 of every file.

    Raises ``UnknownExpertError`` for what is no name of a hub's model and ``ExpertRefused`` when
    the hub can't be reached or what it sent isn't acceptable.
    """
    backend, _, repository = name.partition(":")
    if backend != "transformers" or not is_hub_name(repository):
        raise UnknownExpertError(f"{name!r} is not 'transformers:OWNER/MODEL'")
    from httpx2 import HTTPError  # what the hub's client raises, its own errors included
    from huggingface_hub import HfApi, snapshot_download

    target = folder_of_fetched(repository, weights_root)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as scratch:
        folder = Path(scratch, "model")
        try:
            pinned = str(revision or HfApi().model_info(repository).sha)
            snapshot_download(repository, revision=pinned, allow_patterns=WANTED, local_dir=folder)
        except (HTTPError, OSError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            message = f"{repository} can't be fetched: {reason}"
            raise ExpertRefused("hub", message) from error
        shutil.rmtree(folder / ".cache", ignore_errors=True)  # the client's own notes
        sha256 = hash_weights(folder, check_model_folder(folder).weights)
        fetched = FetchedWeights(name, str(target), repository, pinned, sha256)
        files = {
            str(path.relative_to(folder)): hash_file(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        record = json.dumps({**asdict(fetched), "files": files}, indent=1)
        (folder / FETCHED).write_text(record + "\n", encoding="utf-8")
        _replace(folder, target)
    return fetched


def _replace(folder: Path, target: Path) -> None:
    """Move a checked folder to its place; an earlier one goes with the scratch folder."""
    if target.exists():
        target.rename(folder.with_name("earlier"))
    folder.rename(target)
