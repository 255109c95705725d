"""Expert names are checked at once, without a heavy library, and refused with what is allowed."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scoring.experts import ExpertRefused, UnknownExpertError, load_expert, parse_expert
from scoring.experts.options import ImageOptions
from scoring.experts.timm_names import list_architectures
from scoring.experts.weights_file import write_weights


@pytest.mark.parametrize("name", ["", "timm", "timm:", "resnet18", "torchhub:resnet18"])
def test_a_name_without_a_known_backend_is_refused_and_the_backends_are_listed(name):
    with pytest.raises(UnknownExpertError, match="stub, timm"):
        parse_expert(name)


def test_b141_an_unknown_architecture_is_refused_with_close_matches():
    with pytest.raises(UnknownExpertError, match="resnet18"):
        parse_expert("timm:resnt18")


@pytest.mark.parametrize(
    "name",
    [
        "timm:hf-hub:org/model",
        "timm:local-dir:/etc",
        "timm:../resnet18",
        "timm:resnet18@",
        "timm: ",
    ],
)
def test_a_timm_name_cannot_smuggle_in_another_source(name):
    with pytest.raises(UnknownExpertError):
        parse_expert(name)


@pytest.mark.parametrize("name", ["stub:1", "stub:ten", "stub:10-", "stub:10-1-2-3", "stub:-1"])
def test_a_malformed_stub_is_refused_with_its_form(name):
    with pytest.raises(UnknownExpertError, match="CLASSES"):
        parse_expert(name)


def test_a_relative_weights_file_is_found_under_the_weights_root_first(tmp_path, monkeypatch):
    here, root = tmp_path / "here", tmp_path / "root"
    for folder in (here, root):
        write_weights(folder / "a.safetensors", {"w": np.zeros(2, np.float32)}, {})
    monkeypatch.chdir(here)
    assert parse_expert("timm:resnet18@a.safetensors").weights == here / "a.safetensors"
    parsed = parse_expert("timm:resnet18@a.safetensors", weights_root=root)
    assert parsed.weights == root / "a.safetensors"


def test_a_missing_weights_file_is_refused_with_the_places_looked_at(tmp_path):
    with pytest.raises(ExpertRefused, match="no weights file") as refusal:
        parse_expert("timm:resnet18@b.safetensors", weights_root=tmp_path)
    assert refusal.value.reason_code == "weights_missing"
    assert str(tmp_path) in str(refusal.value)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 1_000_000}, "batch_size"),
        ({"device": "tpu"}, "device"),
        ({"device": "cuda:x"}, "device"),
    ],
)
def test_b141_options_no_machine_can_honour_are_refused(options, code):
    with pytest.raises(ExpertRefused) as refusal:
        load_expert("stub:10", **options)
    assert refusal.value.reason_code == code


@pytest.mark.parametrize(
    "options",
    ["precision=int4", "resize=soft", "precision=", "shots=5", "resize=exact,resize=fast"],
)
def test_b141_unknown_options_and_values_in_a_name_are_refused(options):
    with pytest.raises(UnknownExpertError, match=options.partition("=")[0]):
        parse_expert(f"timm:resnet18,{options}")


def test_a_name_says_how_the_expert_computes():
    assert parse_expert("timm:resnet18").image == ImageOptions("float32", "fast")
    parsed = parse_expert("timm:resnet18,precision=bfloat16,resize=exact")
    assert (parsed.model, parsed.image) == ("resnet18", ImageOptions("bfloat16", "exact"))


def test_a_refusal_survives_the_way_between_two_processes():
    copy = pickle.loads(pickle.dumps(ExpertRefused("device", "none there")))  # noqa: S301
    assert (copy.reason_code, copy.message) == ("device", "none there")


def test_naming_and_refusing_experts_imports_no_heavy_library():
    script = """
import sys
from scoring.experts import load_expert, parse_expert
parse_expert("timm:resnet18")
load_expert("stub:10-1")
heavy = {"torch", "torchvision", "timm", "transformers", "safetensors", "huggingface_hub"}
print(sorted(heavy & set(sys.modules)))
"""
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", script]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert (run.stdout, run.stderr) == ("[]\n", "")


def test_the_architectures_read_from_the_source_are_those_timm_lists():
    timm = pytest.importorskip("timm")
    assert set(list_architectures()) == set(timm.list_models())
