"""A transformers image classifier gives what transformers itself gives, from checked files only."""

from __future__ import annotations

import json
import pickle
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scoring.experts import ExpertRefused, UnknownExpertError, load_expert, parse_expert
from scoring.experts.weights_file import read_header, write_weights
from tests.language_models import change_json

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

N_CLASSES = 7
MODELS = {
    "vit": (
        {
            "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
            "intermediate_size": 64, "image_size": 32, "patch_size": 8,
        },
        {"size": {"height": 32, "width": 32}},
    ),
    "resnet": (
        {"embedding_size": 16, "hidden_sizes": [16, 32], "depths": [1, 1], "layer_type": "basic"},
        {"size": {"shortest_edge": 56}, "crop_pct": 0.875},
    ),
}  # fmt: skip
PROCESSORS = {"vit": "ViTImageProcessor", "resnet": "ConvNextImageProcessor"}


def write_image_model(folder: Path, kind: str = "vit") -> Path:
    """Write a model with random weights and its processor, as transformers saves them."""
    transformers.utils.logging.disable_progress_bar()
    size, processing = MODELS[kind]
    config = transformers.AutoConfig.for_model(kind, num_labels=N_CLASSES, **size)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.AutoModelForImageClassification.from_config(config)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.uniform_(0.5, 2)
    model.save_pretrained(folder)
    getattr(transformers, PROCESSORS[kind])(**processing).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def vit(tmp_path_factory) -> Path:
    return write_image_model(tmp_path_factory.mktemp("models") / "vit")


@pytest.fixture
def folder(vit, tmp_path) -> Path:
    """A copy of a model that a test may spoil."""
    return shutil.copytree(vit, tmp_path / "model")


def random_pictures(n: int, size: tuple[int, int] = (90, 70)) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (n, 9, 12, 3), dtype=np.uint8)
    return [Image.fromarray(array).resize(size) for array in pixels]


def refuse(folder: Path) -> ExpertRefused:
    with pytest.raises(ExpertRefused) as refusal:
        load_expert(f"transformers:{folder}", device="cpu")
    return refusal.value


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize(("resize", "backend"), [("exact", "pil"), ("fast", "torchvision")])
def test_logits_are_those_of_the_model_and_its_own_processor(tmp_path, kind, resize, backend):
    folder = write_image_model(tmp_path, kind)
    expert = load_expert(f"transformers:{folder},resize={resize}", device="cpu", batch_size=3)
    model = transformers.AutoModelForImageClassification.from_pretrained(folder).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend=backend)
    pictures = random_pictures(7)
    with torch.inference_mode():
        expected = model(**processor(pictures, return_tensors="pt")).logits.numpy()
    np.testing.assert_allclose(expert.predict(pictures), expected, atol=1e-5)
    assert expert.card.n_classes == N_CLASSES


def test_the_card_carries_the_processor_and_the_options_change_the_fingerprint(vit):
    cards = [
        load_expert(f"transformers:{vit}{options}", device="cpu").card
        for options in ("", ",resize=exact", ",precision=bfloat16")
    ]
    assert cards[0].transform["processor"]["size"] == {"height": 32, "width": 32}
    assert len({card.fingerprint for card in cards}) == 3
    assert json.loads(json.dumps(cards[0].to_json())) == cards[0].to_json()


def test_a_name_with_options_of_language_models_is_refused(vit):
    assert parse_expert(f"transformers:{vit}").takes == {"image"}
    with pytest.raises(UnknownExpertError, match="shots"):
        parse_expert(f"transformers:{vit},shots=5")


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
def test_b035_a_pixel_and_a_strip_are_scored(tmp_path, size):
    expert = load_expert(f"transformers:{write_image_model(tmp_path, 'resnet')}", device="cpu")
    start = time.thread_time()
    assert np.isfinite(expert.predict([Image.new("RGB", size)])).all()
    assert time.thread_time() - start < 0.5


class Canary:
    """A pickle that leaves a folder behind when somebody opens it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.mkdir, (self.path,)


def test_b130_b131_pickles_are_refused_by_content_and_never_opened(folder, tmp_path):
    evil = pickle.dumps(Canary(tmp_path / "canary"))
    for name in ("pytorch_model.bin", "extra.txt", "model.safetensors"):
        kept = (folder / name).read_bytes() if (folder / name).exists() else None
        (folder / name).write_bytes(evil)
        assert refuse(folder).reason_code == "weights_format", name
        (folder / name).unlink() if kept is None else (folder / name).write_bytes(kept)
    assert not (tmp_path / "canary").exists()
    load_expert(f"transformers:{folder}", device="cpu")


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
def test_b136_code_named_by_model_or_processor_is_refused_before_the_library(
    folder, name, monkeypatch
):
    change_json(folder / name, auto_map={"AutoImageProcessor": "evil.Processor"})
    monkeypatch.setattr(transformers.AutoImageProcessor, "from_pretrained", pytest.fail)
    assert refuse(folder).reason_code == "remote_code"


def test_b136_a_python_file_in_the_folder_is_refused(folder):
    (folder / "modeling.py").write_text("raise SystemExit")
    assert refuse(folder).reason_code == "remote_code"


def test_b134_b135_weights_that_are_broken_or_of_another_model_are_refused(folder):
    path = folder / "model.safetensors"
    library = pytest.importorskip("safetensors.numpy")
    state = library.load_file(path)
    name = next(key for key in state if key.endswith("classifier.bias"))
    write_weights(path, state | {name: np.full(N_CLASSES, np.nan, np.float32)}, {"format": "pt"})
    assert refuse(folder).reason_code == "bad_weights"
    extra = {f"extra{number}": np.ones(1, np.float32) for number in range(30)}
    write_weights(path, {k: v for k, v in state.items() if k != name} | extra, {"format": "pt"})
    refusal = refuse(folder)
    assert refusal.reason_code == "strict_load"
    assert f"missing {name}" in refusal.message
    assert "and 11 more" in refusal.message
    assert len(read_header(path).tensors) == len(state) + 29


@pytest.mark.parametrize(
    "changes",
    [
        {"size": {"height": 100_000, "width": 100_000}},
        {"size": {"height": 0, "width": 32}},
        {"size": {"shortest_edge": 32}},
        {"image_processor_type": "NoSuchProcessor"},
        {"image_mean": "red"},
    ],
    ids=["huge", "nothing", "another size for every picture", "unknown", "no mean"],
)
def test_a_processor_that_cannot_be_used_is_refused(folder, changes):
    change_json(folder / "preprocessor_config.json", **changes)
    assert refuse(folder).reason_code == "transform"


def test_a_model_without_its_processor_is_refused(folder):
    (folder / "preprocessor_config.json").unlink()
    assert refuse(folder).reason_code == "transform"


def test_all_that_a_gpu_computes_with_is_brought_there(vit):
    # The meta device computes shapes only, and refuses tensors that lie elsewhere, as a GPU does.
    expert = load_expert(f"transformers:{vit},batch=4", device="cpu")
    assert expert.batches.batch_size == 4
    expert._model.to("meta")
    logits = expert._compute(torch.empty((2, 3, 32, 32), device="meta"))
    assert (logits.device.type, tuple(logits.shape)) == ("meta", (2, N_CLASSES))
