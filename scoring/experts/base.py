"""What every expert is: a named, fingerprinted function from inputs to logits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

Logits = NDArray[np.float32]


class UnknownExpertError(ValueError):
    """The name does not say which expert is meant; the message says what is allowed."""


class ExpertRefused(Exception):  # noqa: N818 - the word used for it in reports and pages
    """The expert exists in principle but cannot be used, for a reason with a stable code."""

    def __init__(self, reason_code: str, message: str) -> None:
        super().__init__(message)
        self.reason_code = reason_code
        self.message = message

    def __reduce__(self) -> tuple[type[ExpertRefused], tuple[str, str]]:
        # Without this the exception cannot cross a process border: two arguments, one in args.
        return type(self), (self.reason_code, self.message)


@dataclass(frozen=True, slots=True)
class ExpertCard:
    """Everything that decides an expert's logits, as it is stored beside them.

    ``transform`` is the JSON-able identity of what happens to an input before the model sees it,
    ``weights_sha256`` the hash of the weights file, ``libraries`` the versions that ran.
    """

    name: str
    n_classes: int
    weights_sha256: str
    transform: Mapping[str, Any]
    device: str
    libraries: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the card as a JSON document."""
        return {
            "name": self.name,
            "n_classes": self.n_classes,
            "weights_sha256": self.weights_sha256,
            "transform": dict(self.transform),
            "device": self.device,
            "libraries": dict(self.libraries),
            "fingerprint": self.fingerprint,
        }

    @property
    def fingerprint(self) -> str:
        """Sha256 of weights, transform and number of classes.

        Name, device and library versions are left out: two names for the same weights are the
        same expert, and a device or version moves logits by rounding only.
        """
        identity = [self.weights_sha256, dict(self.transform), self.n_classes]
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


class ImageExpert(Protocol):
    """A classifier of images."""

    @property
    def card(self) -> ExpertCard: ...

    def predict(self, inputs: Sequence[Image.Image]) -> Logits:
        """Return float32 logits of shape (n_inputs, n_classes), rows in the order of ``inputs``."""
        ...
