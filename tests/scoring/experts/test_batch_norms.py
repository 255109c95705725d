"""Batch norms disappear into convolutions; where that would change the model, they stay."""

from __future__ import annotations

import pytest

from scoring.experts.batch_norms import fold_batch_norms

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")


def unsettle(model):
    """Give the batch norms statistics, as training would; fresh ones hardly do anything."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.3)
    return model.eval()


def count_batch_norms(model) -> int:
    return sum(isinstance(module, torch.nn.BatchNorm2d) for module in model.modules())


@pytest.mark.parametrize("architecture", ["test_resnet", "test_efficientnet"])
def test_a_folded_model_gives_the_same_logits(architecture):
    model = unsettle(timm.create_model(architecture))
    folded = fold_batch_norms(model, (3, 64, 64))
    assert count_batch_norms(folded) < count_batch_norms(model) / 5
    pictures = torch.randn(3, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(folded(pictures), model(pictures), atol=1e-5, rtol=1e-5)


class Crossed(torch.nn.Module):
    """Registered as convolution, batch norm; run the other way round."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, 3, 3)
        self.norm = torch.nn.BatchNorm2d(3)

    def forward(self, pictures):
        return self.convolution(self.norm(pictures)).mean(dim=(2, 3))


class Standardised(torch.nn.Conv2d):
    """A convolution that computes its weights at every call, as several architectures do."""

    def forward(self, pictures):
        weight = self.weight - self.weight.mean()
        return torch.nn.functional.conv2d(pictures, weight, self.bias)


def test_a_model_that_folding_would_change_stays_as_it_is():
    model = unsettle(Crossed())
    assert fold_batch_norms(model, (3, 8, 8)) is model


def test_only_plain_convolutions_are_folded():
    model = unsettle(torch.nn.Sequential(Standardised(3, 4, 3), torch.nn.BatchNorm2d(4)))
    assert fold_batch_norms(model, (3, 8, 8)) is model
