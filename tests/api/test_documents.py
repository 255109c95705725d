"""The client's documents are what the API describes: every field, its type, whether it is there."""

from __future__ import annotations

import enum
import importlib
import pkgutil
import types
from collections import Counter
from typing import (
    Any,
    Literal,
    NotRequired,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

import pydantic
import pytest
from django.test import Client

import reviews.api
from label_audit_client import LabelAudit, documents
from tests.api.callers import START
from tests.api.names import METHODS, SCHEMAS
from tests.api.operations import OPERATIONS

PLAIN = {int: "integer", float: "number", str: "string", bool: "boolean", type(None): "null"}
DOCUMENTS = {name: each for name, each in vars(documents).items() if is_typeddict(each)}
# What the client hands on as it comes, or the one thing in it that is wanted.
NOT_NAMED = {
    "Recorded", "ClassCards", "Opened", "FlagState", "Told", "PlanDoc", "Disputes", "People",
    "PersonDoc", "PolicyNames", "PolicyDoc", "Difference",
}  # fmt: skip


@pytest.fixture(scope="module")
def description():
    return Client().get(f"{START}/openapi.json").json()


def read_hint(hint: Any) -> Any:
    """A type of the client's, in words that schemas can be said in too."""
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return "anything"
    if is_typeddict(hint):
        return SCHEMAS.get(hint.__name__, hint.__name__)
    if origin is Literal:
        return frozenset(args)
    if origin in (Union, types.UnionType):
        return ("one of", frozenset(map(read_hint, args)))
    if origin in (list, dict):
        assert origin is list or args[0] is str, hint
        return ("list of" if origin is list else "names to", read_hint(args[-1]))
    return PLAIN[hint]


def read_schema(schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """A schema, in the same words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return read_schema(schemas[name], schemas) if "enum" in schemas[name] else name
    if "anyOf" in schema:
        return ("one of", frozenset(read_schema(each, schemas) for each in schema["anyOf"]))
    if "enum" in schema:
        return frozenset(schema["enum"])
    if schema.get("type") == "array":
        return ("list of", read_schema(schema["items"], schemas))
    if schema.get("type") == "object":
        values = schema["additionalProperties"]
        return ("names to", "anything" if values is True else read_schema(values, schemas))
    return schema.get("type", "anything")


def compare(document: Any, schema: dict[str, Any], schemas: dict[str, Any]) -> list[str]:
    """What is wrong with a document of the client's, by field."""
    hints = get_type_hints(document)
    # `__required_keys__` doesn't see through annotations that are kept as text.
    with_extras = get_type_hints(document, include_extras=True)
    optional = {name for name in hints if get_origin(with_extras[name]) is NotRequired}
    described = schema["properties"]
    wrong = [f"{name}: not named" for name in described.keys() - hints.keys()]
    for name, hint in hints.items():
        if name not in described:
            # A document may say that it holds more; what that is depends on the item.
            if not schema.get("additionalProperties") or name not in optional:
                wrong.append(f"{name}: not described")
            continue
        ours, theirs = read_hint(hint), read_schema(described[name], schemas)
        if ours != theirs:
            wrong.append(f"{name}: {ours} for {theirs}")
        if (name in optional) == (name in schema.get("required", [])):
            wrong.append(f"{name}: always there, or not")
    return wrong


def test_every_document_is_as_the_api_describes_it(description):
    schemas = description["components"]["schemas"]
    assert len(DOCUMENTS) > 35
    wrong = {
        name: problems
        for name, document in DOCUMENTS.items()
        if (problems := compare(document, schemas[SCHEMAS.get(name, name)], schemas))
    }
    assert not wrong, wrong


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"slug": None}, "slug: not described"),
        ({"added": {"type": "string"}}, "added: not named"),
        ({"items": {"type": "string"}}, "items: integer for string"),
        ({"kind": {"enum": ["image"]}}, "kind: "),
    ],
)
def test_a_field_that_is_changed_is_found(description, changes, said):
    schemas = description["components"]["schemas"]
    changed = {**schemas["DatasetDoc"]}
    fields = {**changed["properties"], **changes}
    changed["properties"] = {name: each for name, each in fields.items() if each is not None}
    assert not compare(documents.Dataset, schemas["DatasetDoc"], schemas)
    assert any(each.startswith(said) for each in compare(documents.Dataset, changed, schemas))
    optional = {**schemas["DatasetDoc"], "required": ["id"]}
    assert "slug: always there, or not" in compare(documents.Dataset, optional, schemas)


def test_every_answer_has_its_document_and_every_method_returns_the_right_one(description):
    known = {SCHEMAS.get(name, name) for name in DOCUMENTS} | NOT_NAMED
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            name = operation["operationId"]
            good = next(each for code, each in operation["responses"].items() if code < "300")
            schema = good.get("content", {}).get("application/json", {}).get("schema")
            if schema is None:
                continue
            answer = schema["$ref"].rpartition("/")[2]
            if answer.startswith("Page_"):
                answer = answer.removeprefix("Page_").removesuffix("_")
            assert answer in known, f"{method} {path}"
            hint = get_type_hints(getattr(LabelAudit, METHODS.get(name, name)))["return"]
            if get_origin(hint) is not None and get_origin(hint) not in (dict, list):
                (hint,) = get_args(hint)  # of an iterator
            if is_typeddict(hint):
                assert read_hint(hint) == answer, name
            else:
                assert answer in NOT_NAMED or get_origin(hint) is list or name in OWN_ANSWER, name
    assert {name for name in OPERATIONS if name in METHODS} == METHODS.keys()


# The client returns something of its own making: the key that it gave the verdict.
OWN_ANSWER = {"create_judgment", "revise_judgment"}


def test_no_two_shapes_of_the_api_have_one_name():
    """They are told apart by name alone in the description: one would stand for both."""
    names = Counter(
        each.__name__
        for module in pkgutil.iter_modules(reviews.api.__path__, "reviews.api.")
        for each in vars(importlib.import_module(module.name)).values()
        if isinstance(each, type)
        and issubclass(each, (pydantic.BaseModel, enum.Enum))
        and each.__module__ == module.name
    )
    assert len(names) > 80
    assert not {name for name, count in names.items() if count > 1}
