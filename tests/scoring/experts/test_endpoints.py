"""Endpoints are named in one text; what can't be meant is refused, and no key is ever shown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scoring.experts.endpoints import EndpointError, find_endpoint, parse_endpoints


def test_several_endpoints_are_read_with_their_options():
    endpoints = parse_endpoints(
        "llama=http://127.0.0.1:8000/v1/,meta-llama/Llama-3.1-8B; "
        "judge=https://api.example.org/v1,gpt-4o,form=chat,parallel=2,top=5,timeout=9,patience=0\n"
    )
    llama, judge = endpoints["llama"], endpoints["judge"]
    assert (llama.url, llama.model) == ("http://127.0.0.1:8000/v1", "meta-llama/Llama-3.1-8B")
    assert (llama.form, llama.top, llama.parallel) == ("completions", 20, 8)
    assert (judge.form, judge.top, judge.parallel, judge.timeout, judge.patience) == (
        "chat", 5, 2, 9, 0,
    )  # fmt: skip
    assert parse_endpoints(" ;\n") == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("llama", "NAME=URL,MODEL"),
        ("Llama=http://h/v1,m", "a to z"),
        ("../x=http://h/v1,m", "a to z"),
        ("x=http://h/v1", "NAME=URL,MODEL"),
        ("x=http://h/v1,", "NAME=URL,MODEL"),
        ("x=file:///etc/passwd,m", "http"),
        ("x=http:///v1,m", "http"),
        ("x=http://h:port/v1,m", "can't be read"),
        ("x=http://[::1/v1,m", "can't be read"),
        ("x=http://me:secret@h/v1,m", "a setting of its own"),
        ("x=http://h/v1?key=secret,m", "a setting of its own"),
        ("x=http://h/v1,m,top=0", "1 to 1000"),
        ("x=http://h/v1,m,parallel=many", "whole number"),
        ("x=http://h/v1,m,form=graphql", "completions, chat"),
        ("x=http://h/v1,m,key=secret", "unknown option"),
        ("x=http://h/v1,m;x=http://h/v1,n", "twice"),
        ("sk-secret", "NAME=URL,MODEL"),
    ],
)
def test_what_names_no_endpoint_is_refused_without_repeating_a_secret(text, expected):
    with pytest.raises(EndpointError, match=expected) as refusal:
        parse_endpoints(text)
    assert "secret" not in str(refusal.value)


def test_an_unknown_name_is_refused_with_the_known_ones():
    endpoints = parse_endpoints("b=http://h/v1,m;a=http://h/v1,m")
    with pytest.raises(EndpointError, match="there are: a, b"):
        find_endpoint(endpoints, "c")
    with pytest.raises(EndpointError, match="there are: none"):
        find_endpoint({}, "c")


def test_a_key_shows_in_no_representation():
    endpoint = replace(parse_endpoints("a=http://h/v1,m")["a"], key="sk-secret")
    assert "sk-secret" not in f"{endpoint} {endpoint!r} {[endpoint]}"
