"""Names to lazily loaded experts: naming an expert loads nothing."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType

from scoring.experts.base import Expert, UnknownExpertError
from scoring.experts.endpoints import Endpoint
from scoring.experts.names import (
    ExpertName,
    check_options,
    parse_endpoint,
    parse_stub,
    parse_timm,
)

BACKENDS = {  # paths, not classes: importing this module must not import torch
    "endpoint": "scoring.experts.endpoint_expert.EndpointExpert",
    "stub": "scoring.experts.stub_expert.StubExpert",
    "timm": "scoring.experts.timm_expert.TimmExpert",
}

_PARSERS = {"stub": parse_stub, "timm": parse_timm}
_NO_ENDPOINTS: Mapping[str, Endpoint] = MappingProxyType({})


def parse_expert(
    name: str,
    *,
    weights_root: Path | None = None,
    endpoints: Mapping[str, Endpoint] = _NO_ENDPOINTS,
) -> ExpertName:
    """Return the parsed name, or say why no such expert can exist; cheap enough for a web form.

    ``endpoints`` are the installation's model servers. Raises ``UnknownExpertError`` for a name
    that means nothing and ``ExpertRefused`` for a weights file that is missing or not acceptable.
    Nothing heavy is imported.
    """
    backend, _, model = name.partition(":")
    if backend not in BACKENDS or not model:
        known = ", ".join(sorted(BACKENDS))
        raise UnknownExpertError(f"{name!r} is not 'backend:model' with a backend in: {known}")
    if backend == "endpoint":
        return parse_endpoint(name, model, endpoints)
    return _PARSERS[backend](name, model, weights_root)


def load_expert(
    name: str,
    *,
    weights_root: Path | None = None,
    endpoints: Mapping[str, Endpoint] = _NO_ENDPOINTS,
    device: str = "auto",
    batch_size: int | None = None,
) -> Expert:
    """Return the expert called ``name``, its weights in memory on ``device``.

    ``weights_root`` is the installation's folder of fetched models, ``endpoints`` its model servers
    with their keys. ``batch_size`` None lets the expert choose for its device.
    """
    parsed = parse_expert(name, weights_root=weights_root, endpoints=endpoints)
    check_options(device, batch_size)
    module, _, attribute = BACKENDS[parsed.backend].rpartition(".")
    expert: Expert = getattr(import_module(module), attribute)(
        parsed,
        weights_root=weights_root,
        device=device,
        batch_size=batch_size,
    )
    return expert
