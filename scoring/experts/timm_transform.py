"""From a picture to the tensor a timm model expects, the same for training and prediction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from scoring.experts.base import ExpertRefused

if TYPE_CHECKING:
    import torch
    from PIL import Image

_MODES = {1: "L", 3: "RGB"}
_INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos", "hamming", "box")
_CROP_MODES = ("center", "squash", "border")
MAX_SIDE = 2048

# 1 x 5000 pixels would be enlarged to 327 million when the short side grows to 256.
MAX_ASPECT = 16


@dataclass(frozen=True, slots=True)
class TransformConfig:
    """The data configuration of a model in timm's words; part of every score's fingerprint."""

    input_size: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    crop_pct: float
    crop_mode: str = "center"

    @classmethod
    def of_model(cls, model: torch.nn.Module) -> Self:
        """Return what the model's own pretrained configuration asks for."""
        from timm.data import resolve_model_data_config

        return cls.from_json(resolve_model_data_config(model))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the checked configuration; values may come from a file somebody else wrote."""
        try:
            config = cls(
                input_size=tuple(int(side) for side in values["input_size"]),  # type: ignore[arg-type]
                mean=tuple(float(value) for value in values["mean"]),
                std=tuple(float(value) for value in values["std"]),
                interpolation=str(values["interpolation"]),
                crop_pct=float(values["crop_pct"]),
                crop_mode=str(values.get("crop_mode", "center")),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ExpertRefused("transform", f"transform is incomplete: {error!r}") from error
        if not config._is_sane():
            raise ExpertRefused("transform", f"transform is not usable: {config.to_json()}")
        return config

    def to_json(self) -> dict[str, Any]:
        """Return the configuration with lists instead of tuples, as JSON would give it back."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    def _is_sane(self) -> bool:
        if len(self.input_size) != 3 or self.input_size[0] not in _MODES:
            return False
        channels, *sides = self.input_size
        return (
            all(1 <= side <= MAX_SIDE for side in sides)
            and len(self.mean) == len(self.std) == channels
            and all(deviation > 0 for deviation in self.std)
            and 0.1 <= self.crop_pct <= 1.5
            and self.interpolation in _INTERPOLATIONS
            and self.crop_mode in _CROP_MODES
        )


class Transform:
    """timm's evaluation transform, cut in two where bytes become numbers.

    ``pixels`` resizes and crops a picture; ``normalise`` does the arithmetic on a whole batch, on
    the model's device, so that only bytes cross to it. ``resize`` says who resizes: ``exact`` is
    Pillow, bit for bit what timm evaluates with; ``fast`` is torch, more than twice as fast, where
    it knows the interpolation. ``resizer`` says which of the two it became.
    """

    def __init__(self, config: TransformConfig, *, resize: str = "fast") -> None:
        import torch
        from timm.data import create_transform

        self.config = config
        self._mode = _MODES[config.input_size[0]]
        exact = create_transform(
            input_size=config.input_size,
            is_training=False,
            interpolation=config.interpolation,
            mean=config.mean,
            std=config.std,
            crop_pct=config.crop_pct,
            crop_mode=config.crop_mode,
            normalize=False,
        )
        fast = _resize_with_torch(exact) if resize == "fast" else None
        self.resizer = "pillow" if fast is None else "torch"
        self._resize: Callable[[Image.Image], torch.Tensor] = fast or exact
        # One row of pixels, written out: spreading three numbers over every pixel is slower
        # than the arithmetic itself.
        width = config.input_size[2]
        self._mean = torch.tensor(config.mean).repeat(width)
        self._std = torch.tensor(config.std).repeat(width)

    def to_json(self) -> dict[str, Any]:
        """Return all that decides the pixels, for the card of an expert."""
        return self.config.to_json() | {"resize": self.resizer, "max_aspect": MAX_ASPECT}

    def pixels(self, image: Image.Image) -> torch.Tensor:
        """Return uint8 pixels of shape (channels, height, width)."""
        if image.mode != self._mode:
            image = image.convert(self._mode)
        if self.config.crop_mode != "squash":
            image = cut_long_strip(image)
        return self._resize(image)

    def normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return (pixels / 255 - mean) / std in float32, channels last.

        Same operations in the same order as torchvision's ToTensor and Normalize, hence the same
        bits as timm's own loader gives. Fastest where ``pixels`` lie in memory channels last too.
        """
        import torch

        n_images, channels, height, width = pixels.shape
        rows = pixels.permute(0, 2, 3, 1).reshape(n_images, height, width * channels)
        mean, std = (part.to(pixels.device) for part in (self._mean, self._std))
        values = rows.to(torch.float32).div_(255).sub_(mean).div_(std)
        return values.view(n_images, height, width, channels).permute(0, 3, 1, 2)


def _resize_with_torch(transform: Any) -> Callable[[Image.Image], torch.Tensor] | None:
    """Return timm's steps with the first, the resizing, done by torch; None where it can't.

    Same size, same filter; torch resizes bytes with vector instructions, Pillow without.
    """
    from torchvision.transforms import Compose, InterpolationMode, Resize, v2
    from torchvision.transforms.functional import pil_to_tensor

    first, *others = transform.transforms
    filters = {InterpolationMode.BILINEAR, InterpolationMode.BICUBIC}
    if type(first) is not Resize or first.interpolation not in filters:
        return None
    resize = v2.Resize(first.size, first.interpolation, antialias=True)
    steps: Callable[[Image.Image], torch.Tensor] = Compose([pil_to_tensor, resize, *others])
    return steps


def cut_long_strip(image: Image.Image) -> Image.Image:
    """Return the middle of a picture that is many times longer than wide, others as they are."""
    width, height = image.size
    limit = MAX_ASPECT * min(width, height)
    if max(width, height) <= limit:
        return image
    kept_width, kept_height = min(width, limit), min(height, limit)
    left, top = (width - kept_width) // 2, (height - kept_height) // 2
    return image.crop((left, top, left + kept_width, top + kept_height))
