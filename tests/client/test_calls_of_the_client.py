"""Every call of the client is one that the site's schema has: path, method, entries, answer."""

import inspect
import json
import re
import types
import typing
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.urls import resolve
from tiebreak_client import calls, models
from tiebreak_client.calls import Call

CALLS = {name: call for name, call in vars(calls).items() if isinstance(call, Call)}
PACKAGE = Path(calls.__file__).parent
_WORDS = {str: "string", int: "integer", float: "number", bool: "boolean"}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    from drf_spectacular.generators import SchemaGenerator

    found: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return json.loads(json.dumps(found))


def operation(schema: dict[str, Any], call: Call[Any]) -> dict[str, Any]:
    """Its part of the schema, whatever the names in its path are called there."""
    wanted = re.sub(r"{\w+}", "{}", call.path)
    for path, methods in schema["paths"].items():
        if re.sub(r"{\w+}", "{}", path) == wanted and call.method.lower() in methods:
            return dict(methods[call.method.lower()])
    raise AssertionError(f"the schema has no {call.method} {call.path}")


def followed(shape: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in shape:
        shape = schema["components"]["schemas"][shape["$ref"].rsplit("/", 1)[-1]]
    if "allOf" in shape and len(shape["allOf"]) == 1:
        return followed(shape["allOf"][0], schema)
    return shape


def faults(kind: Any, shape: dict[str, Any], schema: dict[str, Any], where: str) -> list[str]:
    """Where the type of the client is not what the schema promises."""
    shape = followed(shape, schema)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return []
    if origin in (typing.Union, types.UnionType):
        (kind,) = (each for each in inner if each is not types.NoneType)
        return faults(kind, without_null(shape), schema, where)
    if is_dataclass(kind):
        return of_record(kind, shape, schema, where)
    if origin is list:
        return faults(inner[0], shape.get("items", {}), schema, f"{where}[]")
    if origin is dict:
        return [] if shape.get("type") == "object" else [f"{where} is no object"]
    return of_plain(kind, shape, where)


def without_null(shape: dict[str, Any]) -> dict[str, Any]:
    for word in ("oneOf", "anyOf"):
        if word in shape:
            (only,) = (each for each in shape[word] if each != {"type": "null"})
            return dict(only)
    named = shape.get("type")
    if isinstance(named, list):
        (only,) = (each for each in named if each != "null")
        return {**shape, "type": only}
    return shape


def of_record(kind: Any, shape: dict[str, Any], schema: dict[str, Any], where: str) -> list[str]:
    hints, found = typing.get_type_hints(kind), []
    for each in fields(kind):
        here = f"{where}.{each.name}"
        if each.name not in shape.get("properties", {}):
            found.append(f"{here} is not in the schema")
            continue
        found += faults(hints[each.name], shape["properties"][each.name], schema, here)
        may_miss = each.default is not MISSING or each.default_factory is not MISSING
        if each.name not in shape.get("required", []) and not may_miss:
            found.append(f"{here} may be missing")
    return found


def of_plain(kind: Any, shape: dict[str, Any], where: str) -> list[str]:
    wanted = "string" if kind is datetime else _WORDS[kind]
    if kind is datetime and shape.get("format") != "date-time":
        return [f"{where} is no time"]
    return [] if shape.get("type") == wanted else [f"{where} is {shape.get('type')}, not {wanted}"]


@pytest.mark.parametrize("name", CALLS)
def test_what_is_sent_is_what_the_door_takes(name: str, schema: dict[str, Any]) -> None:
    call = CALLS[name]
    said = operation(schema, call)
    content = said.get("requestBody", {}).get("content", {})
    if call.body:
        entries = followed(content["application/json"]["schema"], schema)["properties"]
        assert set(call.body) <= set(entries)
    elif call.media != "application/json":
        assert call.media in content
    known = {each["name"] for each in said.get("parameters", []) if each["in"] == "query"}
    assert set(call.query) <= known


@pytest.mark.parametrize("name", CALLS)
def test_what_comes_back_is_what_the_schema_promises(name: str, schema: dict[str, Any]) -> None:
    call = CALLS[name]
    answers = operation(schema, call)["responses"]
    (good,) = (each for code, each in answers.items() if code.startswith("2"))
    if call.answer is type(None):
        assert "content" not in good
    elif call.answer is bytes:
        assert good["content"]
    else:
        shape = good["content"]["application/json"]["schema"]
        assert faults(call.answer, shape, schema, call.answer.__name__) == []


def test_a_field_that_the_schema_does_not_have_would_be_found(schema: dict[str, Any]) -> None:
    """The mutant of the test above: another type, and a field of our own."""
    shape = {"type": "object", "properties": {"id": {"type": "string"}}, "required": []}
    found = faults(models.LeftArtifact, shape, schema, "x")
    assert found[:2] == ["x.id is string, not integer", "x.id may be missing"]
    assert "x.kind is not in the schema" in found


@pytest.mark.parametrize("name", [name for name, call in CALLS.items() if call.keyed])
def test_what_is_sent_again_with_a_key_is_done_once_by_its_door(name: str) -> None:
    path = re.sub(r"{\w+}", "7", CALLS[name].path)
    view = resolve(path).func.cls  # type: ignore[attr-defined]
    assert "@repeatable(" in inspect.getsource(getattr(view, CALLS[name].method.lower()))


def test_every_request_is_one_of_the_table() -> None:
    """Only the transport speaks HTTP, and it takes calls of the table alone."""
    for file in PACKAGE.glob("*.py"):
        text = file.read_text()
        if file.name not in {"transport.py", "files.py"}:
            assert not re.search(r"import requests|requests\.", text), file.name
        assert file.name == "calls.py" or not re.search(r'"/api/|\bCall\(', text), file.name


def test_the_client_imports_nothing_of_the_site() -> None:
    for file in PACKAGE.glob("*.py"):
        found = re.findall(r"^\s*(?:from|import) (\w+)", file.read_text(), re.MULTILINE)
        assert not set(found) & {"annotation", "pipelines", "formats", "django", "config"}, file
