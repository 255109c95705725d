"""Names to lazily loaded experts: naming an expert loads nothing."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType

from scoring.experts.base import Expert, ExpertRefused, Kind, UnknownExpertError
from scoring.experts.endpoints import Endpoint
from scoring.experts.names import (
    ExpertName,
    check_options,
    parse_endpoint,
    parse_stub,
    parse_timm,
)
from scoring.experts.transformers_names import parse_transformers

_STUB = "scoring.experts.stub_expert.StubExpert"

# By backend and by what the model takes. Paths, not classes: importing this must not import torch.
BACKENDS: Mapping[str, Mapping[Kind, str]] = {
    "endpoint": {"multiple_choice": "scoring.experts.endpoint_expert.EndpointExpert"},
    "stub": {"image": _STUB, "multiple_choice": _STUB},
    "timm": {"image": "scoring.experts.timm_expert.TimmExpert"},
    "transformers": {
        "image": "scoring.experts.transformers_image_expert.TransformersImageExpert",
        "multiple_choice": "scoring.experts.causal_lm_expert.CausalLMExpert",
    },
}

_PARSERS = {"stub": parse_stub, "timm": parse_timm, "transformers": parse_transformers}
_NO_ENDPOINTS: Mapping[str, Endpoint] = MappingProxyType({})


def parse_expert(
    name: str,
    *,
    weights_root: Path | None = None,
    endpoints: Mapping[str, Endpoint] = _NO_ENDPOINTS,
    is_confined: bool = False,
) -> ExpertName:
    """Return the parsed name, or say why no such expert can exist; cheap enough for a web form.

    ``endpoints`` are the installation's model servers. ``is_confined``: files outside
    ``weights_root`` are neither taken nor looked at. Raises ``UnknownExpertError`` for a name
    that means nothing and ``ExpertRefused`` for weights that are missing or not acceptable.
    Nothing heavy is imported.
    """
    backend, _, model = name.partition(":")
    if backend not in BACKENDS or not model:
        known = ", ".join(sorted(BACKENDS))
        raise UnknownExpertError(f"{name!r} is not 'backend:model' with a backend in: {known}")
    if backend == "endpoint":
        return parse_endpoint(name, model, endpoints)
    parsed = _PARSERS[backend](name, model, weights_root, is_confined=is_confined)
    if parsed.takes.isdisjoint(BACKENDS[backend]):
        what = " and ".join(sorted(parsed.takes))
        raise ExpertRefused("architecture", f"{backend} models that take {what} can't be run yet")
    return parsed


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
    paths = BACKENDS[parsed.backend]
    path = next(paths[kind] for kind in paths if kind in parsed.takes)
    module, _, attribute = path.rpartition(".")
    expert: Expert = getattr(import_module(module), attribute)(
        parsed,
        weights_root=weights_root,
        device=device,
        batch_size=batch_size,
    )
    return expert
