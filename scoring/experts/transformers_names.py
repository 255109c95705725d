"""Names of transformers models: a folder, a GGUF file or a fetched model, checked before loading.

What kind of expert a model is, its configuration says: a classifier of images, or a causal
language model that answers questions.
"""

from __future__ import annotations

import re
from pathlib import Path

from scoring.experts.base import ExpertRefused, Kind, UnknownExpertError
from scoring.experts.gguf_file import is_gguf, read_gguf_header
from scoring.experts.model_folder import check_model_folder
from scoring.experts.names import IMAGE_OPTIONS, ExpertName, check_confined
from scoring.experts.options import read_image_options, read_question_options, split_options
from scoring.experts.weights_file import name_foreign_format

QUESTION_OPTIONS = ("scoring", "prompt", "shots", "precision")

_HUB_NAME = re.compile(r"([A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*", re.ASCII)
_CAUSAL = re.compile(r"\w+(ForCausalLM|LMHeadModel)", re.ASCII)
_IMAGE = re.compile(r"\w+ForImageClassification(WithTeacher)?", re.ASCII)


def parse_transformers(
    text: str, model: str, weights_root: Path | None, *, is_confined: bool
) -> ExpertName:
    """Parse ``MODEL[,key=value...]``, with the options of the kind of model it turns out to be.

    MODEL is a folder (config.json, safetensors), a GGUF file, or a hub name that ``fetch_expert``
    brought into ``weights_root``; a relative path is looked for there first, a confined one there
    alone.
    """
    name, options = split_options(model, {*QUESTION_OPTIONS, *IMAGE_OPTIONS})
    path = locate_model(name, weights_root, is_confined=is_confined)
    takes = _decide_kind(path)
    allowed = QUESTION_OPTIONS if takes == "multiple_choice" else IMAGE_OPTIONS
    if surplus := sorted(options.keys() - set(allowed)):
        known = ", ".join(allowed)
        raise UnknownExpertError(f"unknown option {surplus[0]}= in {text!r}; known: {known}")
    if takes == "image":
        return ExpertName(text, "transformers", name, path, image=read_image_options(options))
    questions = read_question_options(options)
    return ExpertName(
        text, "transformers", name, path, takes=frozenset({takes}), questions=questions
    )


def folder_of_fetched(name: str, weights_root: Path) -> Path:
    """Return where a hub model's files lie, or would lie, among the installation's models."""
    return weights_root / "transformers" / name.replace("/", "--")


def is_hub_name(name: str) -> bool:
    """Say whether a name can be a hub's: ``MODEL`` or ``OWNER/MODEL``."""
    return _HUB_NAME.fullmatch(name) is not None and ".." not in name


def locate_model(name: str, weights_root: Path | None, *, is_confined: bool = False) -> Path:
    """Return the folder or file meant by ``name``, or say at once how to get it."""
    if not name or "\0" in name:
        raise UnknownExpertError("a folder, a GGUF file or a hub name must follow 'transformers:'")
    if is_confined and not is_hub_name(name):
        check_confined(name, weights_root)
    given = Path(name).expanduser()
    candidates = [given]
    if weights_root is not None and not given.is_absolute():
        candidates.insert(0, weights_root / given)
        if is_hub_name(name):
            candidates.insert(0, folder_of_fetched(name, weights_root))
    if is_confined:
        candidates = candidates[:-1]
    for candidate in candidates:
        if candidate.exists():
            return candidate.resolve()
    if is_hub_name(name):
        message = (
            f"the weights of transformers:{name} are not on this machine; "
            f"fetch them once with: manage.py fetch_expert transformers:{name}"
        )
    else:
        message = f"there is no folder or file {' or '.join(str(each) for each in candidates)}"
    raise ExpertRefused("weights_missing", message)


def _decide_kind(path: Path) -> Kind:
    if path.is_file():
        if not is_gguf(path):
            raise _refuse_file(path)
        read_gguf_header(path)
        return "multiple_choice"
    architecture = check_model_folder(path).architecture
    if _CAUSAL.fullmatch(architecture):
        return "multiple_choice"
    if _IMAGE.fullmatch(architecture):
        return "image"
    message = (
        f"{path} holds a {architecture!a}; what can be run is a causal language model "
        "(...ForCausalLM) or a classifier of images (...ForImageClassification)"
    )
    raise ExpertRefused("architecture", message)


def _refuse_file(path: Path) -> ExpertRefused:
    with path.open("rb") as file:
        start = file.read(512)
    if start[8:9] == b"{":
        message = f"{path} is one file of weights: give its folder, with config.json beside it"
    else:
        message = f"{path} is {name_foreign_format(start) or 'something else'}, no GGUF file"
    return ExpertRefused("weights_format", message)
