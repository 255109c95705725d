"""Weights come from the hub once, pinned and checked: tried against a hub of our own."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image

from scoring.experts import ExpertRefused, Question
from scoring.experts.registry import load_expert
from tests.language_models import write_language_model

REPOSITORY = "timm/test_resnet.r160_in1k"
REVISION = "a" * 40
LANGUAGE_MODEL = "someone/tiny-model"
FETCH = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from scoring.experts.timm_fetch import fetch_timm
from scoring.experts.transformers_fetch import fetch_transformers
fetch = fetch_timm if sys.argv[1].startswith("timm:") else fetch_transformers
print(json.dumps(asdict(fetch(sys.argv[1], Path(sys.argv[2])))))
"""


class Hub(BaseHTTPRequestHandler):
    """Answers what the hub's client asks about two repositories."""

    weights = b""
    files: dict[str, bytes] = {}  # those of the language model

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        content, kind = b"not here", "text/plain"
        status = 404
        if self.path.startswith(f"/api/models/{REPOSITORY}"):
            status, kind = 200, "application/json"
            content = json.dumps({"id": REPOSITORY, "sha": REVISION, "siblings": []}).encode()
        elif self.path == f"/{REPOSITORY}/resolve/{REVISION}/model.safetensors":
            status, kind, content = 200, "application/octet-stream", self.weights
        elif self.path.startswith(f"/api/models/{LANGUAGE_MODEL}/tree/"):
            status, kind = 200, "application/json"
            content = json.dumps(
                [
                    {"type": "file", "path": name, "size": len(data), "oid": "0" * 40}
                    for name, data in self.files.items()
                ]
            ).encode()
        elif self.path.startswith(f"/api/models/{LANGUAGE_MODEL}"):
            status, kind = 200, "application/json"
            siblings = [{"rfilename": name} for name in self.files]
            answer = {"id": LANGUAGE_MODEL, "sha": REVISION, "siblings": siblings}
            content = json.dumps(answer).encode()
        elif self.path.startswith(start := f"/{LANGUAGE_MODEL}/resolve/{REVISION}/"):
            data = self.files.get(self.path.removeprefix(start))
            if data is not None:
                status, kind, content = 200, "application/octet-stream", data
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", REVISION)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_args) -> None:
        return


@pytest.fixture
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def make_weights() -> bytes:
    import timm
    from safetensors.torch import save

    model = timm.create_model("test_resnet", pretrained=False)
    return bytes(save(model.state_dict()))


def fetch(name: str, hub: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    # A process of its own: the hub's client reads its address when it is imported.
    return subprocess.run(
        [sys.executable, "-c", FETCH, name, str(tmp_path / "models")],
        env={"HF_ENDPOINT": hub, "HF_HOME": str(tmp_path / "cache"), "PATH": "", "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_fetched_weights_are_pinned_hashed_and_run_offline(hub, tmp_path):
    Hub.weights = make_weights()
    done = fetch("timm:test_resnet", hub, tmp_path)
    assert done.returncode == 0, done.stderr
    fetched = json.loads(done.stdout)
    assert fetched["revision"] == REVISION
    assert fetched["sha256"] == hashlib.sha256(Hub.weights).hexdigest()
    assert json.loads((tmp_path / "models/timm/test_resnet.json").read_text()) == fetched
    expert = load_expert("timm:test_resnet", weights_root=tmp_path / "models")
    assert expert.predict([Image.new("RGB", (64, 64))]).shape == (1, 1000)


def test_what_is_not_a_weights_file_gets_no_place(hub, tmp_path):
    Hub.weights = b"\x80\x04evil pickle"
    done = fetch("timm:test_resnet", hub, tmp_path)
    assert done.returncode != 0
    assert "ExpertRefused" in done.stderr
    assert not list((tmp_path / "models").rglob("*"))


def test_a_hub_that_does_not_answer_is_said_so(tmp_path):
    done = fetch("timm:test_resnet", "http://127.0.0.1:9", tmp_path)
    assert "can't be fetched" in done.stderr


def test_a_language_model_is_fetched_without_code_and_runs_offline(hub, tmp_path):
    source = write_language_model(tmp_path / "published")
    Hub.files = {path.name: path.read_bytes() for path in source.iterdir()}
    Hub.files["modeling_tiny.py"] = b"raise SystemExit"
    Hub.files["pytorch_model.bin"] = b"evil pickle"
    name = f"transformers:{LANGUAGE_MODEL}"
    models = tmp_path / "models"
    with pytest.raises(ExpertRefused, match=f"fetch_expert {name}"):
        load_expert(name, weights_root=models)
    done = fetch(name, hub, tmp_path)
    assert done.returncode == 0, done.stderr
    fetched = json.loads(done.stdout)
    assert fetched["revision"] == REVISION
    kept = {path.name for path in Path(fetched["path"]).iterdir()}
    assert kept == {path.name for path in source.iterdir()} | {"fetched.json"}
    question = Question("Is it?", ("yes", "no"))
    assert load_expert(name, weights_root=models).predict([question]).shape == (1, 2)


def test_a_model_whose_configuration_names_code_gets_no_place(hub, tmp_path):
    source = write_language_model(tmp_path / "published")
    Hub.files = {path.name: path.read_bytes() for path in source.iterdir()}
    config = json.loads(Hub.files["config.json"]) | {"auto_map": {"AutoConfig": "x.Y"}}
    Hub.files["config.json"] = json.dumps(config).encode()
    done = fetch(f"transformers:{LANGUAGE_MODEL}", hub, tmp_path)
    assert done.returncode != 0
    assert "ExpertRefused" in done.stderr
    assert not list((tmp_path / "models/transformers").iterdir())
