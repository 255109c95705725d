"""A transformers model's files are looked through before transformers sees them."""

from __future__ import annotations

import json
import pickle
import shutil
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from scoring.experts import (
    ExpertRefused,
    UnknownExpertError,
    causal_lm_weights,
    load_expert,
    parse_expert,
)
from scoring.experts.weights_file import write_weights
from tests.language_models import change_json, write_language_model


@pytest.fixture(scope="module")
def llama(tmp_path_factory) -> Path:
    return write_language_model(tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture
def folder(llama, tmp_path) -> Path:
    """A copy of a model that a test may spoil."""
    return shutil.copytree(llama, tmp_path / "model")


def refuse(name: object, **options) -> ExpertRefused:
    with pytest.raises(ExpertRefused) as refusal:
        parse_expert(f"transformers:{name}", **options)
    return refusal.value


class Canary:
    """A pickle that leaves a file behind when somebody opens it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_folder_is_a_language_model_when_its_architecture_says_so(llama):
    parsed = parse_expert(f"transformers:{llama}")
    assert parsed.takes == {"multiple_choice"}
    assert parsed.weights == llama


def test_an_architecture_that_is_neither_is_refused(folder):
    change_json(folder / "config.json", architectures=["T5ForConditionalGeneration"])
    refusal = refuse(folder)
    assert refusal.reason_code == "architecture"
    assert "T5ForConditionalGeneration" in refusal.message
    change_json(folder / "config.json", architectures=[])
    assert refuse(folder).reason_code == "architecture"


def test_options_behind_the_folder_are_read(llama):
    parsed = parse_expert(f"transformers:{llama},scoring=text,shots=3")
    assert parsed.questions is not None
    assert (parsed.questions.scoring, parsed.questions.shots) == ("text", 3)
    with pytest.raises(UnknownExpertError, match="precision=int4"):
        parse_expert(f"transformers:{llama},precision=int4")


@pytest.mark.parametrize("name", ["gpt2", "owner/model", "HuggingFaceTB/SmolLM2-135M-Instruct"])
def test_b140_a_model_that_is_not_here_is_refused_at_once_naming_the_command(
    name, tmp_path, monkeypatch
):
    def connect(*_args):
        pytest.fail("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", connect)
    started = time.monotonic()
    with pytest.raises(ExpertRefused) as refusal:
        load_expert(f"transformers:{name}", weights_root=tmp_path)
    assert time.monotonic() - started < 0.5
    assert refusal.value.reason_code == "weights_missing"
    assert f"fetch_expert transformers:{name}" in refusal.value.message


def test_b140_a_missing_path_is_refused_with_the_places_looked_at(tmp_path):
    refusal = refuse("./models/none/there", weights_root=tmp_path)
    assert refusal.reason_code == "weights_missing"
    assert str(tmp_path) in refusal.message


def test_a_fetched_model_and_a_relative_folder_are_found_under_the_weights_root(
    llama, tmp_path, monkeypatch
):
    fetched = shutil.copytree(llama, tmp_path / "root/transformers/owner--model")
    mine = shutil.copytree(llama, tmp_path / "root/mine")
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "root"
    assert parse_expert("transformers:owner/model", weights_root=root).weights == fetched
    assert parse_expert("transformers:mine", weights_root=root).weights == mine
    assert parse_expert("transformers:root/mine", weights_root=root).weights == mine


def test_b130_a_pickle_beside_the_weights_is_refused_and_never_opened(folder, tmp_path):
    canary = tmp_path / "canary"
    for name in ("pytorch_model.bin", "notes.txt", "tokenizer.pkl", "extra/deep.pt"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(pickle.dumps(Canary(canary)))
        assert refuse(folder).reason_code == "weights_format", name
        path.unlink()
    assert not canary.exists()
    parse_expert(f"transformers:{folder}")


@pytest.mark.row("A20")
def test_b131_an_evil_file_called_safetensors_is_refused_by_content(folder, tmp_path):
    canary = tmp_path / "canary"
    (folder / "model.safetensors").write_bytes(pickle.dumps(Canary(canary)))
    refusal = refuse(folder)
    assert refusal.reason_code == "weights_format"
    assert "pickle" in refusal.message
    assert not canary.exists()


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("model.pt2", b"PK\x03\x04"),
        ("model.onnx", b"\x08\x07"),
        ("model.keras", b"\x89HDF\r\n"),
        ("harmless.txt", b"PK\x03\x04"),
    ],
)
def test_b132_other_formats_beside_the_weights_are_refused(folder, name, start):
    (folder / name).write_bytes(start + b"\0" * 20)
    assert refuse(folder).reason_code == "weights_format"


def test_b133_a_damaged_header_is_refused(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    assert refuse(folder).reason_code == "weights_header"


def test_b134_weights_that_are_not_finite_are_refused(folder):
    from safetensors.numpy import load_file

    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"][3] = np.nan
    write_weights(folder / "model.safetensors", tensors, {"format": "pt"})
    with pytest.raises(ExpertRefused, match=r"model.norm.weight holds NaN") as refusal:
        load_expert(f"transformers:{folder}")
    assert refusal.value.reason_code == "bad_weights"


def test_b135_missing_and_unexpected_weights_are_listed(folder):
    from safetensors.numpy import load_file

    tensors = load_file(folder / "model.safetensors")
    del tensors["model.norm.weight"]
    tensors |= {f"surplus.{number}": np.zeros(2, np.float32) for number in range(30)}
    write_weights(folder / "model.safetensors", tensors, {"format": "pt"})
    with pytest.raises(ExpertRefused, match=r"missing model.norm.weight") as refusal:
        load_expert(f"transformers:{folder}")
    assert refusal.value.reason_code == "strict_load"
    assert "and 11 more" in refusal.value.message


@pytest.mark.row("A23")
@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize(
    "changes",
    [
        {"auto_map": {"AutoModelForCausalLM": "evil.Model"}},
        {"text_config": {"deep": [{"auto_map": {"AutoConfig": "evil.C"}}]}},
        {"trust_remote_code": True},
        {"_attn_implementation": "someone/flash-attn"},
    ],
)
def test_b136_a_configuration_that_asks_for_code_is_refused(folder, name, changes):
    change_json(folder / name, **changes)
    refusal = refuse(folder)
    assert refusal.reason_code == "remote_code"
    assert name in refusal.message


@pytest.mark.row("A23")
@pytest.mark.parametrize("name", ["modeling_llama.py", "sub/tokenizer.py", "a.ipynb"])
def test_b136_code_in_the_folder_is_refused(folder, name):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("raise SystemExit('run')")
    assert refuse(folder).reason_code == "remote_code"


def test_b137_a_huge_tokenizer_is_refused_before_it_is_read(folder):
    with (folder / "tokenizer.json").open("wb") as file:
        file.truncate(500_000_000)
    assert refuse(folder).reason_code == "tokenizer_size"


@pytest.mark.parametrize(
    ("pattern", "code"),
    [("(a{1,30}){4}$", "tokenizer_timeout"), ("(a+)+$", "tokenizer")],
    ids=["too slow", "gives up"],
)
def test_b137_a_tokenizer_whose_pattern_never_ends_is_stopped(folder, monkeypatch, pattern, code):
    assert causal_lm_weights.TOKENIZER_SECONDS == 20
    monkeypatch.setattr(causal_lm_weights, "TOKENIZER_SECONDS", 3)
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated"}
    change_json(folder / "tokenizer.json", pre_tokenizer=split | {"invert": False})
    with pytest.raises(ExpertRefused) as refusal:
        load_expert(f"transformers:{folder}")
    assert refusal.value.reason_code == code


def test_a_tokenizer_that_is_none_is_refused(folder):
    (folder / "tokenizer.json").write_text("[]")
    with pytest.raises(ExpertRefused) as refusal:
        load_expert(f"transformers:{folder}")
    assert refusal.value.reason_code == "tokenizer"


def test_b138_a_fetched_file_that_changed_is_refused(folder):
    (folder / "fetched.json").write_text(json.dumps({"files": {"model.safetensors": "0" * 64}}))
    with pytest.raises(ExpertRefused, match="is not what was fetched") as refusal:
        load_expert(f"transformers:{folder}")
    assert refusal.value.reason_code == "checksum"


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_b139_a_git_lfs_pointer_says_what_to_do(folder, name):
    (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    refusal = refuse(folder)
    assert refusal.reason_code == "lfs_pointer"
    assert "git lfs pull" in refusal.message


def test_an_adapter_or_a_folder_without_weights_is_refused(folder):
    (folder / "adapter_config.json").write_text("{}")
    assert "merge it" in refuse(folder).message
    (folder / "adapter_config.json").unlink()
    (folder / "model.safetensors").unlink()
    assert "no .safetensors weights" in refuse(folder).message
    (folder / "config.json").unlink()
    assert "no config.json" in refuse(folder).message


def test_an_index_that_leads_elsewhere_is_refused(folder):
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "../b"}}))
    assert "there is no '../b'" in refuse(folder).message
    index.write_text("[1]")
    assert refuse(folder).reason_code == "config"


def test_a_single_weights_file_asks_for_its_folder(folder):
    assert "give its folder" in refuse(folder / "model.safetensors").message


def test_nesting_without_end_is_refused(folder):
    (folder / "tokenizer_config.json").write_text("[" * 100_000)
    assert refuse(folder).reason_code == "config"


@pytest.mark.parametrize("name", ["", ",scoring=text", "\0"])
def test_no_model_is_no_name(name):
    with pytest.raises(UnknownExpertError):
        parse_expert(f"transformers:{name}")


def test_loading_opens_no_socket_and_naming_loads_no_library(llama):
    script = """
import socket, sys
def connect(*args): raise SystemExit("a socket was opened")
socket.socket.connect = connect
from scoring.experts import load_expert, parse_expert, Question
parse_expert(sys.argv[1])
heavy = {"torch", "transformers", "safetensors", "tokenizers", "huggingface_hub"}
print(sorted(heavy & set(sys.modules)))
print(load_expert(sys.argv[1]).predict([Question("Who?", ("a", "b"))]).shape)
"""
    run = subprocess.run(
        [sys.executable, "-c", script, f"transformers:{llama}"],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout.splitlines() == ["[]", "(1, 2)"], run.stderr


# GGUF files


def write_gguf(path: Path, fields: bytes = b"", *, n_fields=1, n_tensors=0, tensors=b"") -> Path:
    name = b"general.architecture"
    architecture = struct.pack("<Q", len(name)) + name + struct.pack("<IQ", 8, 5) + b"llama"
    head = b"GGUF" + struct.pack("<IQQ", 3, n_tensors, n_fields)
    path.write_bytes(head + architecture + fields + tensors)
    return path


def test_a_gguf_file_is_a_language_model(tmp_path):
    parsed = parse_expert(f"transformers:{write_gguf(tmp_path / 'm.gguf')}")
    assert parsed.takes == {"multiple_choice"}


TEXT_FIELD = struct.pack("<Q", 1) + b"k" + struct.pack("<I", 8)
LIST_FIELD = struct.pack("<Q", 1) + b"k" + struct.pack("<I", 9)
TENSOR = struct.pack("<Q", 1) + b"t"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n_fields": 1 << 60}, "too many"),
        ({"n_tensors": 1 << 40}, "too many"),
        ({"n_fields": 2}, "cut short"),
        ({"n_fields": 2, "fields": TEXT_FIELD + struct.pack("<Q", 1 << 40)}, "a text of"),
        ({"n_fields": 2, "fields": TEXT_FIELD + struct.pack("<Q", 99)}, "cut short"),
        ({"n_fields": 2, "fields": LIST_FIELD + struct.pack("<IQ", 8, 1 << 50)}, "a list of"),
        ({"n_fields": 2, "fields": LIST_FIELD + struct.pack("<IQ", 9, 1)}, "of kind 9"),
        ({"n_fields": 2, "fields": LIST_FIELD + struct.pack("<IQ", 6, 9999)}, "cut short"),
        ({"n_tensors": 1, "tensors": TENSOR + struct.pack("<I", 9)}, "9 dimensions"),
        (
            {"n_tensors": 1, "tensors": TENSOR + struct.pack("<IQIQ", 1, 4, 0, 1 << 50)},
            "outside the file",
        ),
    ],
)
def test_a_gguf_header_that_leads_outside_its_file_is_refused(tmp_path, options, said):
    started = time.monotonic()
    refusal = refuse(write_gguf(tmp_path / "m.gguf", **options))
    assert refusal.reason_code == "weights_header"
    assert said in refusal.message
    assert time.monotonic() - started < 0.5


def test_what_is_called_gguf_and_is_none_is_refused_by_content(tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(pickle.dumps(Canary(tmp_path / "canary")))
    assert "a Python pickle, no GGUF file" in refuse(path).message
    assert not (tmp_path / "canary").exists()


def test_a_gguf_that_holds_no_model_is_refused_when_it_is_loaded(tmp_path):
    with pytest.raises(ExpertRefused, match="can't load"):
        load_expert(f"transformers:{write_gguf(tmp_path / 'm.gguf')}")
