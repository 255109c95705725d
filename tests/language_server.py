"""A real, if tiny, language model behind a real OpenAI-compatible server on the loopback.

The model is a Llama of random weights, so every log-probability is computed, none is canned. The
server's faults (refusals, slowness, missing parts) are switched on by tests.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.language_models import write_language_model

MODEL = "tiny/llama"
CONTEXT = 1024
LOUDNESS = 3
TEMPLATE = (
    "{% for message in messages %}<{{ message.role }}>{{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def write_tiny_model(folder: Path, seed: int = 1) -> Path:
    """Save a random Llama that likes to say letters, and that can chat."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    write_language_model(folder, seed=seed, max_position_embeddings=CONTEXT)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    # Letters are what an answering model says: louder rows make them likely first tokens.
    loud = [tokenizer.vocab[f"{blank}{letter}"] for letter in "ABCD" for blank in ("", "\u0120")]
    with torch.no_grad():
        model.lm_head.weight[loud] *= LOUDNESS
    model.save_pretrained(folder)
    return folder


class TinyModel:
    """The saved model, asked one prompt at a time."""

    def __init__(self, folder: Path) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        # The model is so small that threads cost more than they save.
        torch.set_num_threads(1)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self._lock = threading.Lock()

    def encode(self, text: str, *, whole: bool = True) -> list[int]:
        """Return the text's tokens; a whole text has the token in front that texts begin with."""
        return list(self.tokenizer(text, add_special_tokens=whole)["input_ids"])

    def decode(self, token: int) -> str:
        return str(self.tokenizer.decode([token]))

    def chat_prompt(self, messages: Sequence[dict[str, str]]) -> str:
        return str(
            self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        )

    def logits(self, ids: Sequence[int]) -> Any:
        """Return the logits of the next token after each one, a tensor (n, vocabulary)."""
        import torch

        with self._lock, torch.inference_mode():
            return self._model(torch.tensor([list(ids)])).logits[0].float()

    def log_probabilities(self, ids: Sequence[int]) -> Any:
        """Return log-probabilities of the next token after each one, a tensor (n, vocabulary)."""
        return self.logits(ids).log_softmax(-1)


@dataclass
class Behaviour:
    """What the server does beside answering, and what it saw."""

    faults: list[tuple[int, dict[str, str]] | str] = field(default_factory=list)
    key: str = ""
    models: tuple[str, ...] = (MODEL,)
    gives_log_probabilities: bool = True
    echoes: bool = True
    most_top: int = 20
    fails_after: int | None = None
    strips_tokens: bool = False
    delay: float = 0.0
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    started_at: list[float] = field(default_factory=list)
    n_inside: int = 0
    most_inside: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class RequestError(Exception):
    """What a client did wrong."""


class Handler(BaseHTTPRequestHandler):
    """Answers /models, /completions and /chat/completions as OpenAI documents them."""

    protocol_version = "HTTP/1.1"
    model: TinyModel | None
    behaviour: Behaviour

    def do_GET(self) -> None:
        self.serve({})

    def do_POST(self) -> None:
        self.serve(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def serve(self, body: dict[str, Any]) -> None:
        behaviour = self.behaviour
        with behaviour.lock:
            behaviour.requests.append((self.path, body))
            behaviour.started_at.append(time.monotonic())
            behaviour.n_inside += 1
            behaviour.most_inside = max(behaviour.most_inside, behaviour.n_inside)
            fault = behaviour.faults.pop(0) if behaviour.faults else None
            if (
                behaviour.fails_after is not None
                and len(behaviour.requests) > behaviour.fails_after
            ):
                fault = (403, {})
        try:
            self.respond(body, fault)
        finally:
            with behaviour.lock:
                behaviour.n_inside -= 1

    def respond(self, body: dict[str, Any], fault: tuple[int, dict[str, str]] | str | None) -> None:
        time.sleep(self.behaviour.delay)
        if fault == "hang up":
            self.close_connection = True
            return
        if isinstance(fault, str):
            self.send(200, fault.encode())
            return
        if fault is not None:
            self.send(fault[0], b'{"error": {"message": "as told"}}', fault[1])
            return
        given = self.headers.get("Authorization", "")
        if self.behaviour.key and given != f"Bearer {self.behaviour.key}":
            self.send(401, json.dumps({"error": {"message": f"wrong key {given}"}}).encode())
            return
        try:
            document = self.answer(body)
        except RequestError as error:
            self.send(400, json.dumps({"error": {"message": str(error)}}).encode())
        else:
            status = 404 if document is None else 200
            self.send(status, json.dumps(document).encode())

    def answer(self, body: dict[str, Any]) -> dict[str, Any] | None:
        if self.path == "/v1/models":
            return {"object": "list", "data": [{"id": each} for each in self.behaviour.models]}
        if body.get("model") not in self.behaviour.models:
            return None
        if self.path == "/v1/completions":
            return self.complete(body)
        return self.chat(body) if self.path == "/v1/chat/completions" else None

    def generate(self, prompt: list[int], n_tokens: int) -> tuple[list[int], list[Any]]:
        """Return greedily chosen tokens, and what each place told of the token after it."""
        if len(prompt) + n_tokens > CONTEXT:
            message = f"maximum context length is {CONTEXT} tokens, got {len(prompt)}"
            raise RequestError(f"{message} in the prompt and {n_tokens} to come")
        ids = list(prompt)
        rows = list(self.model.log_probabilities(ids))
        for number in range(n_tokens):
            if number:
                rows.append(self.model.log_probabilities(ids)[-1])
            ids.append(int(rows[-1].argmax()))
            if ids[-1] == self.model.tokenizer.eos_token_id:
                break
        return ids[len(prompt) :], rows

    def check(self, body: dict[str, Any], n_top: int) -> None:
        if body.get("temperature", 1) != 0:
            raise RequestError("this server samples nothing: temperature must be 0")
        if n_top > self.behaviour.most_top:
            raise RequestError(f"at most {self.behaviour.most_top} log-probabilities")

    def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        n_top = body.get("logprobs") or 0
        self.check(body, n_top)
        prompt = self.model.encode(body["prompt"])
        made, after = self.generate(prompt, body.get("max_tokens", 16))
        is_echoed = body.get("echo") and self.behaviour.echoes
        ids, first = ([*prompt, *made], 0) if is_echoed else (made, len(prompt))
        choice = {"index": 0, "text": self.model.tokenizer.decode(ids), "finish_reason": "length"}
        if n_top and self.behaviour.gives_log_probabilities:
            before = [
                after[place - 1] if place else None for place in range(first, first + len(ids))
            ]
            tops = [self.top(row, n_top) if row is not None else None for row in before]
            choice["logprobs"] = {
                "tokens": [self.show(token) for token in ids],
                "token_logprobs": [
                    float(row[token]) if row is not None else None
                    for row, token in zip(before, ids, strict=True)
                ],
                # As servers do it: two tokens that read alike share one entry, the likelier's.
                "top_logprobs": [dict(reversed(top)) if top else None for top in tops],
            }
        return self.wrap(choice, len(prompt), len(made))

    def chat(self, body: dict[str, Any]) -> dict[str, Any]:
        n_top = body.get("top_logprobs") or 0
        self.check(body, n_top)
        prompt = self.model.encode(self.model.chat_prompt(body["messages"]), whole=False)
        made, after = self.generate(prompt, body.get("max_tokens", 16))
        text = self.model.tokenizer.decode(made, skip_special_tokens=True)
        choice: dict[str, Any] = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "length",
        }
        if body.get("logprobs") and self.behaviour.gives_log_probabilities:
            rows = after[len(prompt) - 1 :]
            choice["logprobs"] = {
                "content": [
                    {
                        "token": self.show(token),
                        "logprob": float(row[token]),
                        "top_logprobs": [
                            {"token": name, "logprob": value}
                            for name, value in self.top(row, n_top)
                        ],
                    }
                    for token, row in zip(made, rows, strict=True)
                ]
            }
        return self.wrap(choice, len(prompt), len(made))

    def top(self, row: Any, n_top: int) -> list[tuple[str, float]]:
        values, places = row.topk(n_top)
        return [
            (self.show(int(p)), value) for p, value in zip(places, values.tolist(), strict=True)
        ]

    def show(self, token: int) -> str:
        """Return the token as text, as servers of SentencePiece models do without its blank."""
        text = self.model.decode(token)
        return text.strip() or text if self.behaviour.strips_tokens else text

    def wrap(self, choice: dict[str, Any], n_prompt: int, n_made: int) -> dict[str, Any]:
        usage = {"prompt_tokens": n_prompt, "completion_tokens": n_made}
        return {"id": "1", "model": MODEL, "choices": [choice], "usage": usage}

    def send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_args: object) -> None:
        return


@dataclass(frozen=True)
class LanguageServer:
    """A running server: its address and its switches."""

    url: str
    behaviour: Behaviour


@pytest.fixture(scope="session")
def tiny_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny-llama"))


@pytest.fixture(scope="session")
def tiny_model(tiny_model_folder: Path) -> TinyModel:
    return TinyModel(tiny_model_folder)


@pytest.fixture
def language_server(tiny_model: TinyModel) -> Iterator[LanguageServer]:
    """A server of the tiny model, its switches as new."""
    with serve_model(tiny_model) as server:
        yield server


@contextmanager
def serve_model(model: TinyModel | None) -> Iterator[LanguageServer]:
    """Serve the model on a free port of the loopback until the block ends.

    Without one the server only tells which models it has, which is enough to try connections on.
    """
    behaviour = Behaviour()
    handler = type("BoundHandler", (Handler,), {"model": model, "behaviour": behaviour})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield LanguageServer(f"http://127.0.0.1:{server.server_port}/v1", behaviour)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
