"""Requests to a model server: overload is waited for, refusals are told apart, order is kept."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from scoring.experts import ExpertRefused
from scoring.experts.base import ExpertUnavailable
from scoring.experts.endpoint_client import EndpointClient, RequestRefused
from scoring.experts.endpoints import Endpoint
from tests.language_server import MODEL, LanguageServer, serve_model

LISTED = {"object": "list", "data": [{"id": MODEL}]}
BUSY = (429, {"Retry-After": "0"})


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch):
    monkeypatch.setattr("scoring.experts.endpoint_client.FIRST_PAUSE", 0.05)


@pytest.fixture
def server() -> Iterator[LanguageServer]:
    with serve_model(None) as running:
        yield running


@pytest.fixture
def endpoint(server) -> Endpoint:
    return Endpoint("tiny", server.url, MODEL, parallel=4, patience=20, timeout=5)


def ask(endpoint: Endpoint) -> dict:
    with EndpointClient(endpoint) as client:
        return client.get("/models")


@pytest.mark.parametrize("fault", [BUSY, (503, {}), (529, {}), "hang up", "<html>", "[1]"])
def test_a_server_that_is_overloaded_or_stumbles_is_asked_again(server, endpoint, fault):
    server.behaviour.faults = [fault, fault]
    assert ask(endpoint) == LISTED
    assert len(server.behaviour.requests) == 3


def test_the_pause_a_server_asks_for_is_kept_by_all_threads(server, endpoint):
    server.behaviour.faults = [(429, {"Retry-After": "1"})]
    with EndpointClient(replace(endpoint, parallel=1)) as client:
        answers = list(client.each(client.get, ["/models"] * 3))
    assert answers == [LISTED] * 3
    first, second = server.behaviour.started_at[:2]
    assert second - first >= 1.0


def test_a_server_that_stays_away_is_given_up_after_the_patience(endpoint):
    gone = replace(endpoint, url="http://127.0.0.1:9/v1", patience=1)
    started = time.monotonic()
    with pytest.raises(ExpertUnavailable, match="ConnectError"):
        ask(gone)
    assert time.monotonic() - started < 3


def test_a_silent_server_counts_as_away(server, endpoint):
    server.behaviour.delay = 2.0
    with pytest.raises(ExpertUnavailable, match="ReadTimeout"):
        ask(replace(endpoint, timeout=1, patience=0))


def test_a_wrong_key_refuses_the_expert_and_is_not_repeated(server, endpoint):
    server.behaviour.key = "right"
    with pytest.raises(ExpertRefused, match="refuses its key") as refusal:
        ask(replace(endpoint, key="sk-mistaken"))
    assert refusal.value.reason_code == "endpoint_key"
    assert "mistaken" not in refusal.value.message
    assert ask(replace(endpoint, key="right")) == LISTED


def test_what_the_server_says_is_shown_short_and_without_the_key(server, endpoint):
    server.behaviour.faults = [(400, {})]
    with pytest.raises(RequestRefused, match="as told"):
        ask(endpoint)
    server.behaviour.faults = [(400, {})]
    with pytest.raises(RequestRefused) as refusal:
        ask(replace(endpoint, key="as told"))
    assert "as told" not in str(refusal.value)
    assert "***" in str(refusal.value)


@pytest.mark.parametrize("status", [404, 307])
def test_a_path_that_is_not_there_refuses_the_expert_and_no_redirect_is_followed(
    server, endpoint, status
):
    server.behaviour.faults = [(status, {"Location": "http://127.0.0.1:9/"})]
    with pytest.raises(ExpertRefused) as refusal:
        ask(endpoint)
    assert refusal.value.reason_code == "endpoint_path"


def test_no_more_requests_are_on_their_way_than_allowed_and_answers_keep_their_order(
    server, endpoint
):
    server.behaviour.delay = 0.02
    with EndpointClient(endpoint) as client:

        def numbered(number: int) -> int:
            client.get("/models")
            return number

        assert list(client.each(numbered, range(24))) == list(range(24))
    assert 2 <= server.behaviour.most_inside <= 4


def test_an_overloaded_server_gets_fewer_requests_at_a_time(server, endpoint):
    wide = replace(endpoint, parallel=16)
    server.behaviour.faults = [BUSY] * 3
    with EndpointClient(wide) as client:
        list(client.each(client.get, ["/models"] * 16))  # all sixteen are on their way at once
        server.behaviour.most_inside, server.behaviour.delay = 0, 0.05
        list(client.each(client.get, ["/models"] * 8))
    assert 1 <= server.behaviour.most_inside < 16


def test_the_first_failure_stops_what_still_waits(server, endpoint):
    server.behaviour.faults = [(401, {})]
    server.behaviour.delay = 0.01
    with EndpointClient(replace(endpoint, parallel=1)) as client:
        with pytest.raises(ExpertRefused):
            list(client.each(client.get, ["/models"] * 50))
        assert len(server.behaviour.requests) < 5
        assert client.get("/models") == LISTED
