"""Build a timm model and put checked weights into it; nothing here opens a socket or a pickle."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scoring.experts.base import ExpertRefused
from scoring.experts.names import ExpertName
from scoring.experts.timm_transform import TransformConfig
from scoring.experts.weights_file import WeightsHeader, read_header

if TYPE_CHECKING:
    import torch

MAX_LISTED_KEYS = 20

# The only arguments a weights file may choose; anything else would reach timm's constructor.
_MODEL_ARGUMENTS = {"num_classes": 1_000_000, "in_chans": 3, "img_size": 2048}


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model with its weights, the transform it was trained for, and the weights' hash."""

    model: torch.nn.Module
    transform: TransformConfig
    n_classes: int
    weights_sha256: str


def load_model(name: ExpertName, path: Path) -> LoadedModel:
    """Return the model on the CPU, in evaluation mode, its weights finite and complete.

    A file of our own (see ``timm_training``) says how it was built. Any other file is taken as the
    architecture's own layout, number of classes read from its classifier.
    """
    header = read_header(path)
    if "model_args" in header.metadata:
        model, transform = _build_described(name, path, header)
    else:
        model = _build_plain(name, path, header)
        transform = TransformConfig.of_model(model)
    model.eval()
    sha256 = _hash_file(path)
    if name.weights is None:
        _compare_with_fetched(path, sha256)
    return LoadedModel(model, transform, int(model.num_classes), sha256)  # type: ignore[arg-type]


def locate_pretrained(model: str, weights_root: Path | None) -> Path:
    """Return the file of fetched weights for a timm name, or refuse within milliseconds.

    Looked for as ``weights_root/timm/NAME.safetensors``, then in the hub's cache on this machine.
    """
    if weights_root is not None:
        fetched = weights_root / "timm" / f"{model}.safetensors"
        if fetched.is_file():
            return fetched
    missing = ExpertRefused(
        "weights_missing",
        f"the weights of timm:{model} are not on this machine; "
        f"fetch them once with: manage.py fetch_expert timm:{model}",
    )
    if not _hub_cache_may_hold(model):
        raise missing
    import timm
    from huggingface_hub import try_to_load_from_cache

    try:
        config = timm.get_pretrained_cfg(model)
    except RuntimeError as error:  # how timm says that a tag does not exist
        raise ExpertRefused("weights_missing", str(error)) from error
    if config is None or not config.hf_hub_id:
        raise missing
    filename = config.hf_hub_filename or "model.safetensors"
    cached = try_to_load_from_cache(config.hf_hub_id, filename)
    if not isinstance(cached, str):
        raise missing
    return Path(cached)


def _hub_cache_may_hold(model: str) -> bool:
    """Say whether looking further is worth importing timm, which takes seconds."""
    cache_home = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    hub_home = os.environ.get("HF_HOME", f"{cache_home}/huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE", f"{hub_home}/hub")).expanduser()
    architecture = model.partition(".")[0]
    # Some weights live under another owner's name, which only timm's configuration knows.
    return any(
        not folder.name.startswith("models--timm--")
        or folder.name.startswith(f"models--timm--{architecture}")
        for folder in cache.glob("models--*")
    )


def _build_described(
    name: ExpertName, path: Path, header: WeightsHeader
) -> tuple[torch.nn.Module, TransformConfig]:
    import timm

    built = header.metadata.get("architecture", "")
    if built != name.model.partition(".")[0]:
        message = f"{path} holds a {built!r}, not a {name.model!r}"
        raise ExpertRefused("architecture", message)
    arguments = _read_json(path, header, "model_args")
    for key, value in arguments.items():
        if type(value) is not int or not 1 <= value <= _MODEL_ARGUMENTS.get(key, 0):
            raise ExpertRefused("weights_header", f"{path}: model_args {key}={value!r} refused")
    transform = TransformConfig.from_json(_read_json(path, header, "transform"))
    if transform.input_size[0] != arguments.get("in_chans", 3):
        raise ExpertRefused("transform", f"{path}: transform and model differ in channels")
    try:
        model: torch.nn.Module = timm.create_model(built, pretrained=False, **arguments)
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        message = f"{path}: timm cannot build {built} with {arguments}: {error}"
        raise ExpertRefused("architecture", message) from error
    state = _load_state(path)
    _check_keys(path, model, state)
    model.load_state_dict(state)
    return model, transform


def _read_json(path: Path, header: WeightsHeader, key: str) -> dict[str, Any]:
    try:
        value = json.loads(header.metadata.get(key, ""))
    except (ValueError, RecursionError) as error:
        raise ExpertRefused("weights_header", f"{path}: metadata {key} is not JSON") from error
    if not isinstance(value, dict):
        raise ExpertRefused("weights_header", f"{path}: metadata {key} is not a JSON object")
    return value


def _build_plain(name: ExpertName, path: Path, header: WeightsHeader) -> torch.nn.Module:
    import timm

    try:
        config = timm.get_pretrained_cfg(name.model)
    except RuntimeError as error:
        raise ExpertRefused("architecture", str(error)) from error
    n_classes = config.num_classes if config is not None else 1000
    if config is not None and isinstance(config.classifier, str):
        head = header.tensors.get(f"{config.classifier}.weight")
        if head is not None and head.shape:
            n_classes = head.shape[0]
    state = _load_state(path)
    model: torch.nn.Module = timm.create_model(name.model, num_classes=n_classes)
    if name.weights is None and set(state) != set(model.state_dict()):
        # Hub files may need timm's own renaming; it does that while building.
        return _build_renamed(name.model, n_classes, path, state)
    _check_keys(path, model, state)
    model.load_state_dict(state)
    return model


def _build_renamed(
    name: str, n_classes: int, path: Path, state: dict[str, torch.Tensor]
) -> torch.nn.Module:
    import timm

    overlay = {"state_dict": state, "num_classes": n_classes}
    try:
        model: torch.nn.Module = timm.create_model(
            name, pretrained=True, num_classes=n_classes, pretrained_cfg_overlay=overlay
        )
    except (KeyError, RuntimeError) as error:
        message = f"{path} does not fit the model: {str(error)[:2000]}"
        raise ExpertRefused("strict_load", message) from error
    return model


def _load_state(path: Path) -> dict[str, torch.Tensor]:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state: dict[str, torch.Tensor] = load_file(path)
    except SafetensorError as error:
        raise ExpertRefused("weights_header", f"{path}: {error}") from error
    for key, tensor in state.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ExpertRefused("bad_weights", f"{path}: {key} holds NaN or infinity")
    return state


def _check_keys(path: Path, model: torch.nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    expected = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    problems = [f"missing {key}" for key in expected if key not in state]
    problems += [f"unexpected {key}" for key in state if key not in expected]
    problems += [
        f"{key} is {tuple(state[key].shape)}, expected {shape}"
        for key, shape in expected.items()
        if key in state and tuple(state[key].shape) != shape
    ]
    if problems:
        shown = "; ".join(problems[:MAX_LISTED_KEYS])
        more = len(problems) - MAX_LISTED_KEYS
        tail = f"; and {more} more" if more > 0 else ""
        raise ExpertRefused("strict_load", f"{path} does not fit the model: {shown}{tail}")


def _compare_with_fetched(path: Path, sha256: str) -> None:
    """Refuse weights that are not those that ``fetch_expert`` recorded beside them."""
    record = path.with_suffix(".json")
    if not record.is_file():
        return  # from the hub's own cache
    if json.loads(record.read_text(encoding="utf-8")).get("sha256") != sha256:
        message = f"{path} is not what was fetched: its sha256 is {sha256}"
        raise ExpertRefused("checksum", message)


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
