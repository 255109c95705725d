"""Model servers are named in settings; their keys lie beside, and never show."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from audit.checkup.endpoints import check_endpoints
from audit.config.environment import SettingError, read_endpoint_key, read_endpoints
from audit.services.endpoints import endpoint_with_key
from scoring.experts.endpoints import EndpointError, parse_endpoints
from tests.language_server import MODEL

KEY = "sk-not-for-your-eyes"


def write_key(home: Path, name: str, key: str, mode: int = 0o600) -> None:
    path = home / "endpoint_keys" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(key)
    path.chmod(mode)


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("endpoint", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_a_setting_that_names_no_endpoint_stops_the_start():
    with pytest.raises(SettingError, match="LABEL_AUDIT_ENDPOINTS: endpoint 'x'"):
        read_endpoints({"LABEL_AUDIT_ENDPOINTS": "x=ftp://h,m"})
    assert read_endpoints({}) == {}


def test_a_key_comes_from_its_variable_else_from_its_file(tmp_path):
    write_key(tmp_path, "my-llama", f"{KEY}-file\n")
    assert read_endpoint_key({}, tmp_path, "my-llama") == f"{KEY}-file"
    variables = {"LABEL_AUDIT_ENDPOINT_MY_LLAMA_KEY": KEY}
    assert read_endpoint_key(variables, tmp_path, "my-llama") == KEY
    assert read_endpoint_key({}, tmp_path, "other") == ""


def test_a_key_that_everybody_can_read_or_that_is_none_is_refused_unseen(tmp_path):
    write_key(tmp_path, "open", KEY, 0o644)
    write_key(tmp_path, "two", f"{KEY}\n{KEY}")
    for name, reason in (("open", "chmod 600"), ("two", "one line")):
        with pytest.raises(SettingError, match=reason) as refusal:
            read_endpoint_key({}, tmp_path, name)
        assert KEY not in str(refusal.value)


def test_an_endpoint_gets_its_key_only_where_it_is_asked_for(settings):
    settings.ENDPOINTS = parse_endpoints("a=http://h/v1,m")
    write_key(settings.LABEL_AUDIT_HOME, "a", KEY)
    assert endpoint_with_key("a").key == KEY
    assert settings.ENDPOINTS["a"].key == ""
    with pytest.raises(EndpointError, match="there are: a"):
        endpoint_with_key("b")


def test_the_command_lists_endpoints_without_their_keys(settings):
    assert "names none" in run()
    settings.ENDPOINTS = parse_endpoints("a=http://h/v1,m;b=http://h/v1,n,form=chat")
    write_key(settings.LABEL_AUDIT_HOME, "b", KEY)
    text, document = run(), run("--json")
    assert "a: m at http://h/v1, completions, no key" in text
    assert [each["has_key"] for each in json.loads(document)["endpoints"]] == [False, True]
    assert KEY not in text + document


def test_the_command_says_what_a_server_can_be_used_for(settings, language_server):
    settings.ENDPOINTS = parse_endpoints(f"tiny={language_server.url},{MODEL},top=7")
    findings = {each["use"]: each for each in json.loads(run("tiny", "--json"))["findings"]}
    assert all(each["works"] for each in findings.values())
    assert language_server.behaviour.requests[1][1]["logprobs"] == 7
    assert "log-probabilities a token" in findings["letters"]["detail"]
    language_server.behaviour.gives_log_probabilities = False
    text = run("tiny")
    assert text.count("NO") == 2
    assert "no log-probabilities" in text


def test_the_command_fails_where_nothing_works(settings, language_server):
    settings.ENDPOINTS = parse_endpoints(f"tiny={language_server.url},{MODEL}")
    language_server.behaviour.key = "right"
    write_key(settings.LABEL_AUDIT_HOME, "tiny", KEY)
    out = io.StringIO()
    with pytest.raises(CommandError, match="can't be used"):
        call_command("endpoint", "tiny", stdout=out, stderr=out)
    assert "refuses its key" in out.getvalue()
    assert KEY not in out.getvalue()
    with pytest.raises(CommandError, match="there are: tiny"):
        call_command("endpoint", "large", stdout=out, stderr=out)


def test_the_doctor_asks_every_server_and_says_what_to_do(settings, language_server):
    settings.ENDPOINTS = parse_endpoints(
        f"good={language_server.url},{MODEL};other={language_server.url},huge;"
        "gone=http://127.0.0.1:9/v1,m;open=http://127.0.0.1:9/v1,m"
    )
    write_key(settings.LABEL_AUDIT_HOME, "open", KEY, 0o644)
    found = {each.subject: each for each in check_endpoints()}
    assert {name: each.level.value for name, each in found.items()} == {
        "endpoint good": "ok",
        "endpoint other": "problem",
        "endpoint gone": "warning",
        "endpoint open": "problem",
    }
    assert f"not among the served: {MODEL}" in found["endpoint other"].said
    language_server.behaviour.key = "right"
    refused = next(each for each in check_endpoints() if each.subject == "endpoint good")
    assert (refused.level.value, "key" in refused.advice) == ("problem", True)
