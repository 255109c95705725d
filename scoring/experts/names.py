"""Expert names: ``backend:model``, checked without loading a model or a heavy library."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from scoring.experts.base import ExpertRefused, Kind, UnknownExpertError
from scoring.experts.endpoints import Endpoint, EndpointError, find_endpoint
from scoring.experts.options import (
    MAX_BATCH_SIZE,
    ImageOptions,
    QuestionOptions,
    read_image_options,
    read_question_options,
    split_options,
)
from scoring.experts.timm_names import is_architecture, suggest_architectures
from scoring.experts.weights_file import read_header

DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d{1,2})?")
IMAGE_OPTIONS = ("precision", "resize", "batch")

_STUB = re.compile(r"[1-9]\d{0,5}(-\d{1,9}(-\d{1,6})?)?")
_TIMM = re.compile(r"(?P<model>[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)?)(@(?P<file>.+))?")


@dataclass(frozen=True, slots=True)
class ExpertName:
    """A parsed name: the text as given, its backend, its model, and its own weights if any.

    ``weights`` is a file, or a folder for a model that needs several. ``takes`` says what items the
    expert can score, ``image`` how it computes pictures, ``questions`` how a language model is
    asked, ``endpoint`` which server it is behind.
    """

    text: str
    backend: str
    model: str
    weights: Path | None = None
    takes: frozenset[Kind] = frozenset({"image"})
    image: ImageOptions = field(default_factory=ImageOptions)
    questions: QuestionOptions | None = None
    endpoint: Endpoint | None = None


def parse_stub(
    text: str,
    model: str,
    weights_root: Path | None,  # noqa: ARG001
    *,
    is_confined: bool,  # noqa: ARG001
) -> ExpertName:
    """Parse ``CLASSES[-SEED[-DELAY_MS]]`` with at least two classes."""
    if not _STUB.fullmatch(model) or int(model.partition("-")[0]) < 2:
        raise UnknownExpertError(f"{text!r} is not 'stub:CLASSES[-SEED[-DELAY_MS]]', CLASSES >= 2")
    return ExpertName(text, "stub", model, takes=frozenset({"image", "multiple_choice"}))


def parse_timm(
    text: str, model: str, weights_root: Path | None, *, is_confined: bool
) -> ExpertName:
    """Parse ``NAME[@FILE.safetensors][,precision=...][,resize=...][,batch=N]``.

    The architecture must be known and the file readable. A relative file is looked for under
    ``weights_root`` first, then in the current directory; a confined one is nowhere else.
    """
    model, options = split_options(model, IMAGE_OPTIONS)
    image = read_image_options(options)
    match = _TIMM.fullmatch(model)
    if match is None or "\0" in model:
        raise UnknownExpertError(f"{text!r} is not 'timm:NAME' or 'timm:NAME@FILE.safetensors'")
    name, file = match["model"], match["file"]
    if not is_architecture(name):
        close = suggest_architectures(name)
        hint = f"; did you mean {', '.join(close)}?" if close else ""
        raise UnknownExpertError(f"timm knows no architecture {name!r}{hint}")
    if file is None:
        return ExpertName(text, "timm", name, image=image)
    if is_confined:
        check_confined(file, weights_root)
    weights = _locate_file(Path(file).expanduser(), weights_root)
    read_header(weights)
    return ExpertName(text, "timm", name, weights, image=image)


def parse_endpoint(text: str, model: str, endpoints: Mapping[str, Endpoint]) -> ExpertName:
    """Parse ``NAME[,scoring=letters|text][,prompt=NAME][,shots=N]``; an address is never a name."""
    name, options = split_options(model, ("scoring", "prompt", "shots"))
    try:
        endpoint = find_endpoint(endpoints, name)
    except EndpointError as error:
        raise UnknownExpertError(str(error)) from error
    takes: frozenset[Kind] = frozenset({"multiple_choice"})
    questions = read_question_options(options)
    return ExpertName(text, "endpoint", name, takes=takes, questions=questions, endpoint=endpoint)


def check_options(device: str, batch_size: int | None) -> None:
    """Refuse options that no machine can honour; whether a GPU exists is seen when loading."""
    if not DEVICE.fullmatch(device):
        message = f"device {device!r} is not auto, cpu, mps, cuda or cuda:NUMBER"
        raise ExpertRefused("device", message)
    if batch_size is not None and not 1 <= batch_size <= MAX_BATCH_SIZE:
        message = f"batch size {batch_size} is not between 1 and {MAX_BATCH_SIZE}"
        raise ExpertRefused("batch_size", message)


def check_confined(said: str, weights_root: Path | None) -> None:
    """Refuse a file or folder that isn't there below ``weights_root``, before any is looked at.

    Links that lead out of it were made by whoever keeps the installation's models.
    """
    path = PurePath(said)
    is_below = not (path.is_absolute() or ".." in path.parts or said.startswith("~"))
    if weights_root is None or not is_below or not _exists(weights_root / path):
        message = f"there is no {said[:200]!r} among the models of this installation"
        raise ExpertRefused("weights_missing", message)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name longer than any
        return False


def _locate_file(file: Path, weights_root: Path | None) -> Path:
    candidates = (
        [file] if file.is_absolute() or weights_root is None else [weights_root / file, file]
    )
    for candidate in candidates:
        if candidate.is_file():
            return candidate.resolve()
    looked = " or ".join(str(candidate) for candidate in candidates)
    raise ExpertRefused("weights_missing", f"there is no weights file {looked}")
