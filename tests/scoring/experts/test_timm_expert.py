"""The timm expert: the model's own pixels and logits, checked weights, and clear refusals."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from scoring.experts import ExpertRefused, UnknownExpertError, load_expert, parse_expert
from scoring.experts.timm_transform import Transform, TransformConfig
from scoring.experts.weights_file import write_weights

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

ARCHITECTURE = "test_resnet"
REPOSITORY = Path(__file__).parents[3]


def random_pictures(n: int, size: tuple[int, int] = (40, 30), mode: str = "RGB") -> list:
    rng = np.random.default_rng(0)
    shape = (n, size[1], size[0], 3)
    pixels = rng.integers(0, 256, shape, dtype=np.uint8)
    return [Image.fromarray(array).convert(mode) for array in pixels]


def state_of(model) -> dict[str, np.ndarray]:
    return {key: value.detach().numpy().copy() for key, value in model.state_dict().items()}


@pytest.fixture(scope="module")
def plain_model():
    """A model with random weights, standing for somebody's trained one."""
    torch.manual_seed(0)
    return timm.create_model(ARCHITECTURE, num_classes=7).eval()


@pytest.fixture
def plain_file(tmp_path, plain_model) -> Path:
    path = tmp_path / "plain.safetensors"
    write_weights(path, state_of(plain_model), {"format": "pt"})
    return path


def timm_logits(model, pictures) -> np.ndarray:
    """What a few lines of plain timm compute, one picture at a time."""
    config = timm.data.resolve_model_data_config(model)
    transform = timm.data.create_transform(**config, is_training=False)
    with torch.inference_mode():
        rows = [model(transform(picture).unsqueeze(0)) for picture in pictures]
    return torch.cat(rows).numpy()


def refusal_of(name: str, **options) -> ExpertRefused:
    with pytest.raises(ExpertRefused) as refusal:
        load_expert(name, device="cpu", **options)
    return refusal.value


def test_logits_are_those_of_plain_timm(plain_file, plain_model):
    pictures = random_pictures(11)
    expert = load_expert(f"timm:{ARCHITECTURE}@{plain_file},resize=exact", device="cpu")
    logits = expert.predict(pictures)
    assert logits.shape == (11, 7)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, timm_logits(plain_model, pictures), atol=1e-5)


def test_the_same_chunk_gives_the_same_bits_and_no_images_no_rows(plain_file):
    expert = load_expert(f"timm:{ARCHITECTURE}@{plain_file}", device="cpu", batch_size=3)
    pictures = random_pictures(7)
    np.testing.assert_array_equal(expert.predict(pictures), expert.predict(pictures))
    assert expert.predict([]).shape == (0, 7)


def test_bfloat16_keeps_logits_close_and_has_a_fingerprint_of_its_own(plain_file):
    name = f"timm:{ARCHITECTURE}@{plain_file}"
    exact, fast = (
        load_expert(f"{name},precision={precision}", device="cpu")
        for precision in ("float32", "bfloat16")
    )
    pictures = random_pictures(4)
    np.testing.assert_allclose(fast.predict(pictures), exact.predict(pictures), atol=0.05)
    assert fast.card.fingerprint != exact.card.fingerprint


def test_the_card_carries_hash_transform_and_versions(plain_file):
    card = load_expert(f"timm:{ARCHITECTURE}@{plain_file}", device="cpu").card.to_json()
    digest = subprocess.run(["sha256sum", plain_file], capture_output=True, text=True, check=True)
    assert card["weights_sha256"] == digest.stdout.split()[0]
    assert card["transform"]["input_size"] == [3, 160, 160]
    assert card["libraries"]["timm"] == timm.__version__


@settings(max_examples=40, deadline=None)
@given(
    width=st.integers(6, 90),
    height=st.integers(6, 90),
    mode=st.sampled_from(["center", "squash", "border"]),
    crop=st.sampled_from([0.875, 0.95, 1.0]),
    grey=st.booleans(),
)
def test_pixels_are_bit_for_bit_those_of_timms_evaluation_transform(
    width, height, mode, crop, grey
):
    channels = 1 if grey else 3
    config = TransformConfig(
        input_size=(channels, 24, 24),
        mean=(0.485, 0.456, 0.406)[:channels],
        std=(0.229, 0.224, 0.225)[:channels],
        interpolation="bicubic",
        crop_pct=crop,
        crop_mode=mode,
    )
    [picture] = random_pictures(1, (width, height), "L" if grey else "RGB")
    transform = Transform(config, resize="exact")
    ours = transform.normalise(transform.pixels(picture).unsqueeze(0))[0]
    theirs = timm.data.create_transform(**config.to_json(), is_training=False)(picture)
    assert torch.equal(ours, theirs)


@settings(max_examples=40, deadline=None)
@given(
    width=st.integers(16, 400),
    height=st.integers(16, 400),
    mode=st.sampled_from(["center", "squash"]),
    interpolation=st.sampled_from(["bilinear", "bicubic"]),
    grey=st.booleans(),
)
def test_fast_pixels_differ_from_exact_ones_by_two_steps_at_most(
    width, height, mode, interpolation, grey
):
    channels = 1 if grey else 3
    config = TransformConfig(
        (channels, 48, 48), (0.5,) * channels, (0.5,) * channels, interpolation, 0.875, mode
    )
    # As smooth as photographs are: noise overshoots, and the two clip it at different moments.
    [noise] = random_pictures(1, (width // 8, height // 8), "L" if grey else "RGB")
    picture = noise.resize((width, height))
    exact, fast = (Transform(config, resize=resize) for resize in ("exact", "fast"))
    assert (exact.resizer, fast.resizer) == ("pillow", "torch")
    difference = exact.pixels(picture).int() - fast.pixels(picture).int()
    assert difference.abs().max() <= 2


@pytest.mark.parametrize(("interpolation", "mode"), [("lanczos", "center"), ("bicubic", "border")])
def test_what_torch_cannot_resize_is_resized_exactly(interpolation, mode):
    config = TransformConfig((3, 24, 24), (0.5,) * 3, (0.5,) * 3, interpolation, 0.9, mode)
    assert Transform(config).to_json() == Transform(config, resize="exact").to_json()


def test_who_resizes_is_part_of_the_fingerprint(plain_file):
    name = f"timm:{ARCHITECTURE}@{plain_file}"
    fast, exact = (load_expert(each, device="cpu").card for each in (name, f"{name},resize=exact"))
    assert (fast.transform["resize"], exact.transform["resize"]) == ("torch", "pillow")
    assert fast.fingerprint != exact.fingerprint


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
@pytest.mark.parametrize("mode", ["center", "squash", "border"])
def test_b035_a_pixel_and_a_strip_are_scored_from_their_middle(size, mode):
    config = TransformConfig((3, 224, 224), (0.5,) * 3, (0.5,) * 3, "bicubic", 0.95, mode)
    [picture] = random_pictures(1, size)
    transform = Transform(config)
    start = time.thread_time()
    assert transform.pixels(picture).shape == (3, 224, 224)
    assert time.thread_time() - start < 0.5


def test_float16_is_refused_on_a_cpu(plain_file):
    refusal = refusal_of(f"timm:{ARCHITECTURE}@{plain_file},precision=float16")
    assert refusal.reason_code == "precision"


def test_b134_weights_that_are_not_finite_are_refused(tmp_path, plain_model):
    state = state_of(plain_model)
    state["fc.bias"][3] = np.nan
    path = tmp_path / "nan.safetensors"
    write_weights(path, state, {})
    refusal = refusal_of(f"timm:{ARCHITECTURE}@{path}")
    assert refusal.reason_code == "bad_weights"
    assert "fc.bias" in refusal.message


def test_b135_missing_unexpected_and_misshapen_keys_are_listed(tmp_path, plain_model):
    state = state_of(plain_model)
    state["extra"] = state.pop("fc.bias")
    state["bn1.weight"] = np.ones(3, np.float32)
    path = tmp_path / "changed.safetensors"
    write_weights(path, state, {})
    refusal = refusal_of(f"timm:{ARCHITECTURE}@{path}")
    assert refusal.reason_code == "strict_load"
    for problem in ("missing fc.bias", "unexpected extra", "bn1.weight is (3,)"):
        assert problem in refusal.message


def test_b135_another_architecture_is_refused_with_at_most_twenty_keys(plain_file):
    refusal = refusal_of(f"timm:test_vit@{plain_file}")
    assert refusal.reason_code == "strict_load"
    assert refusal.message.count("missing") + refusal.message.count("unexpected") == 20
    assert "more" in refusal.message


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"architecture": "test_vit"}, "architecture"),
        ({"model_args": '{"num_classes": 7, "checkpoint_path": 1}'}, "weights_header"),
        ({"model_args": '{"num_classes": "7"}'}, "weights_header"),
        ({"model_args": "7"}, "weights_header"),
        ({"model_args": '{"num_classes": 7, "img_size": 32}'}, "architecture"),
        ({"model_args": '{"num_classes": 7, "in_chans": 1}'}, "transform"),
        ({"transform": "{}"}, "transform"),
        ({"transform": "nonsense"}, "weights_header"),
        ({"model_args": '{"num_classes": 8}'}, "strict_load"),
    ],
)
def test_a_file_cannot_choose_more_than_its_own_shape(tmp_path, plain_model, changes, code):
    config = TransformConfig((3, 32, 32), (0.5,) * 3, (0.5,) * 3, "bicubic", 1.0)
    described = {
        "architecture": ARCHITECTURE,
        "model_args": '{"num_classes": 7}',
        "transform": str(config.to_json()).replace("'", '"'),
    }
    path = tmp_path / "described.safetensors"
    write_weights(path, state_of(plain_model), described)
    assert load_expert(f"timm:{ARCHITECTURE}@{path}", device="cpu").card.n_classes == 7
    write_weights(path, state_of(plain_model), described | changes)
    assert refusal_of(f"timm:{ARCHITECTURE}@{path}").reason_code == code


def test_b141_a_device_that_is_not_there_is_refused(plain_file):
    with pytest.raises(ExpertRefused) as refusal:
        load_expert(f"timm:{ARCHITECTURE}@{plain_file}", device="cuda:99")
    assert refusal.value.reason_code == "device"


def run_offline(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``script`` in a fresh interpreter in which any connection is an error."""
    guard = """
import socket
def refuse(*args):
    raise AssertionError("a socket was opened")
socket.socket.connect = refuse
from scoring.experts import ExpertRefused, UnknownExpertError, load_expert, parse_expert
"""
    return subprocess.run(
        [sys.executable, "-c", guard + script],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )


def test_b140_weights_that_are_not_here_are_refused_in_two_seconds_without_a_socket(tmp_path):
    start = time.monotonic()
    run = run_offline(
        """
try:
    load_expert("timm:resnet18")
except ExpertRefused as refusal:
    print(refusal.reason_code, refusal)
""",
        HF_HOME=str(tmp_path),
    )
    assert run.stdout.startswith("weights_missing")
    assert "manage.py fetch_expert timm:resnet18" in run.stdout
    assert time.monotonic() - start < 2


def test_pretrained_weights_in_the_hub_cache_load_without_a_socket(tmp_path):
    revision = "0" * 40
    repository = tmp_path / "hub" / "models--timm--test_resnet.r160_in1k"
    torch.manual_seed(1)
    state = state_of(timm.create_model(ARCHITECTURE))
    write_weights(repository / "snapshots" / revision / "model.safetensors", state, {})
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(revision)
    run = run_offline(
        """
card = load_expert("timm:test_resnet", device="cpu").card
try:
    load_expert("timm:test_vit")
except ExpertRefused as refusal:
    print(card.n_classes, card.transform["input_size"], refusal.reason_code)
""",
        HF_HOME=str(tmp_path),
    )
    assert run.stdout == "1000 [3, 160, 160] weights_missing\n"


def test_fetched_weights_lie_under_the_weights_root_by_name(tmp_path):
    torch.manual_seed(1)
    state = state_of(timm.create_model(ARCHITECTURE))
    write_weights(tmp_path / "timm" / "test_resnet.r160_in1k.safetensors", state, {})
    expert = load_expert("timm:test_resnet.r160_in1k", weights_root=tmp_path, device="cpu")
    assert expert.card.n_classes == 1000


def test_b138_fetched_weights_that_changed_since_are_refused(tmp_path):
    torch.manual_seed(1)
    path = tmp_path / "timm" / "test_resnet.r160_in1k.safetensors"
    write_weights(path, state_of(timm.create_model(ARCHITECTURE)), {})
    record = path.with_suffix(".json")
    record.write_text(json.dumps({"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}))
    load_expert("timm:test_resnet.r160_in1k", weights_root=tmp_path, device="cpu")
    write_weights(path, state_of(timm.create_model(ARCHITECTURE)), {})
    refusal = refusal_of("timm:test_resnet.r160_in1k", weights_root=tmp_path)
    assert refusal.reason_code == "checksum"


def test_hub_weights_under_timms_older_names_are_renamed_as_timm_does(tmp_path):
    """Original vision transformers carry their classifier bias and head under other names."""
    torch.manual_seed(1)
    model = timm.create_model("deit_tiny_distilled_patch16_224").eval()
    wrapped = {f"module.{key}": value for key, value in state_of(model).items()}
    write_weights(tmp_path / "timm" / "deit_tiny_distilled_patch16_224.safetensors", wrapped, {})
    refusal = refusal_of("timm:deit_tiny_distilled_patch16_224", weights_root=tmp_path)
    assert refusal.reason_code == "strict_load"


def test_all_that_a_gpu_computes_with_is_brought_there(plain_file):
    # The meta device computes shapes only, and refuses tensors that lie elsewhere, as a GPU does.
    for options in ("", ",precision=bfloat16"):
        expert = load_expert(f"timm:{ARCHITECTURE}@{plain_file}{options}", device="cpu")
        expert._model.to("meta")
        pixels = torch.empty((2, 3, 160, 160), dtype=torch.uint8, device="meta")
        logits = expert._compute(pixels)
        assert (logits.device.type, tuple(logits.shape)) == ("meta", (2, 7))


@pytest.mark.parametrize("batch", ["0", "-1", "x", "4097", "99999", ""])
def test_a_batch_size_that_means_nothing_is_refused(plain_file, batch):
    with pytest.raises(UnknownExpertError, match="batch="):
        parse_expert(f"timm:{ARCHITECTURE}@{plain_file},batch={batch}")
    assert parse_expert(f"timm:{ARCHITECTURE}@{plain_file},batch=4096").image.batch == 4096
