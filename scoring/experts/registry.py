"""Names to lazily loaded experts: naming an expert loads nothing."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from scoring.experts.base import Expert, UnknownExpertError
from scoring.experts.names import ExpertName, check_options, parse_stub, parse_timm

BACKENDS = {  # paths, not classes: importing this module must not import torch
    "stub": "scoring.experts.stub_expert.StubExpert",
    "timm": "scoring.experts.timm_expert.TimmExpert",
}

_PARSERS = {"stub": parse_stub, "timm": parse_timm}


def parse_expert(name: str, *, weights_root: Path | None = None) -> ExpertName:
    """Return the parsed name, or say why no such expert can exist; cheap enough for a web form.

    Raises ``UnknownExpertError`` for a name that means nothing and ``ExpertRefused`` for a weights
    file that is missing or not acceptable. Nothing heavy is imported.
    """
    backend, _, model = name.partition(":")
    if backend not in BACKENDS or not model:
        known = ", ".join(sorted(BACKENDS))
        raise UnknownExpertError(f"{name!r} is not 'backend:model' with a backend in: {known}")
    return _PARSERS[backend](name, model, weights_root)


def load_expert(
    name: str,
    *,
    weights_root: Path | None = None,
    device: str = "auto",
    batch_size: int | None = None,
) -> Expert:
    """Return the expert called ``name``, its weights in memory on ``device``.

    ``weights_root`` is the installation's folder of fetched models. ``batch_size`` None lets the
    expert choose for its device.
    """
    parsed = parse_expert(name, weights_root=weights_root)
    check_options(device, batch_size)
    module, _, attribute = BACKENDS[parsed.backend].rpartition(".")
    expert: Expert = getattr(import_module(module), attribute)(
        parsed,
        weights_root=weights_root,
        device=device,
        batch_size=batch_size,
    )
    return expert
