"""Training one fold: reproducible, quiet about the caller's state, and exact when loaded again."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from scoring.experts import UnknownExpertError, load_expert

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from scoring.experts.timm_training import train_fold  # noqa: E402


def two_shades(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures whose left or right half is bright, and which half it is."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, n)
    images = rng.integers(0, 120, (n, 16, 16), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, 8 * label : 8 * label + 8] += 120
    return images, labels


@pytest.mark.parametrize("architecture", ["test_resnet", "test_vit"])
def test_a_trained_file_loads_exactly_and_predicts_unseen_pictures(tmp_path, architecture):
    images, labels = two_shades(700)
    path = tmp_path / "fold.safetensors"
    epochs = []
    train_fold(
        architecture,
        images[:600],
        labels[:600],
        n_classes=2,
        epochs=10,
        seed=0,
        image_size=32,
        destination=path,
        on_epoch=lambda epoch, loss: epochs.append((epoch, loss)),
    )
    expert = load_expert(f"timm:{architecture}@{path}", device="cpu")
    logits = expert.predict([Image.fromarray(image) for image in images[600:]])
    assert (logits.argmax(axis=1) == labels[600:]).mean() > 0.95
    assert [epoch for epoch, _ in epochs] == list(range(1, 11))
    assert epochs[-1][1] < epochs[0][1]
    assert expert.card.transform["input_size"] == [1, 32, 32]


def test_a_grey_model_scores_the_colour_version_of_a_picture_the_same(tmp_path):
    images, labels = two_shades(20)
    path = tmp_path / "fold.safetensors"
    train_fold(
        "test_resnet",
        images,
        labels,
        n_classes=2,
        epochs=1,
        seed=0,
        image_size=16,
        destination=path,
    )
    expert = load_expert(f"timm:test_resnet@{path}", device="cpu")
    grey = [Image.fromarray(image) for image in images]
    colour = [picture.convert("RGB") for picture in grey]
    np.testing.assert_array_equal(expert.predict(grey), expert.predict(colour))


def test_the_same_arguments_give_the_same_file_and_leave_the_callers_random_numbers_alone(tmp_path):
    images, labels = two_shades(40)
    contents = []
    for name in ("a", "b"):
        torch.manual_seed(11)
        train_fold(
            "test_resnet",
            images,
            labels,
            n_classes=2,
            epochs=1,
            seed=5,
            image_size=16,
            destination=tmp_path / name,
        )
        contents.append((tmp_path / name).read_bytes())
        drawn = torch.rand(1)
        torch.manual_seed(11)
        assert drawn == torch.rand(1)
    assert contents[0] == contents[1]


def test_colour_pictures_make_a_model_of_three_channels(tmp_path):
    images, labels = two_shades(20)
    path = tmp_path / "fold.safetensors"
    colour = [Image.fromarray(image).convert("RGB") for image in images]
    train_fold(
        "test_resnet",
        colour,
        labels,
        n_classes=5,
        epochs=1,
        seed=0,
        image_size=16,
        destination=path,
    )
    card = load_expert(f"timm:test_resnet@{path}", device="cpu").card
    assert card.transform["input_size"][0] == 3
    assert card.n_classes == 5


@pytest.mark.parametrize("labels", [[0, 1], [0, 1, 2], [0, -1, 1], [[0], [1], [0]]])
def test_labels_that_do_not_fit_are_refused(tmp_path, labels):
    images = np.zeros((3, 8, 8), dtype=np.uint8)
    with pytest.raises(ValueError, match="label"):
        train_fold(
            "test_resnet",
            images,
            labels,
            n_classes=2,
            epochs=1,
            seed=0,
            image_size=16,
            destination=tmp_path / "a",
        )
    assert not (tmp_path / "a").exists()


def test_an_unknown_architecture_is_refused_with_close_matches(tmp_path):
    images, labels = two_shades(4)
    with pytest.raises(UnknownExpertError, match="test_resnet"):
        train_fold(
            "test_resnt",
            images,
            labels,
            n_classes=2,
            epochs=1,
            seed=0,
            image_size=16,
            destination=tmp_path / "a",
        )
