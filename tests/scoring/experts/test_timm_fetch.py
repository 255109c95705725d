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

from scoring.experts.registry import load_expert

REPOSITORY = "timm/test_resnet.r160_in1k"
REVISION = "a" * 40
FETCH = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from scoring.experts.timm_fetch import fetch_timm
print(json.dumps(asdict(fetch_timm(sys.argv[1], Path(sys.argv[2])))))
"""


class Hub(BaseHTTPRequestHandler):
    """Answers the two questions the hub's client asks about one repository."""

    weights = b""

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
