"""Requests held against Xero's own OpenAPI file, where it lies beside the project.

A light check: path and method, parameters, headers, and the body against its JSON schema, with
two things more than the schema says: no member that it does not know, and none that it calls
read-only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml
from jsonschema import Draft202012Validator

FILE = Path(__file__).parents[2] / "shared" / "reference" / "xero" / "xero_accounting.yaml"
PREFIX = "/api.xro/2.0"

# Not in the file, and yet Xero's: see reference/xero/README.md sections 4 and 14.
NOT_IN_THE_FILE = ("/Employees",)
MEMBERS_SINCE = {"RoundingAmount", "EnteredTotal"}


def is_there() -> bool:
    return FILE.is_file()


@cache
def document() -> dict[str, Any]:
    found: dict[str, Any] = yaml.load(FILE.read_text(), Loader=yaml.CSafeLoader)
    return found


def problems(
    method: str,
    path: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    body: bytes | None,
) -> list[str]:
    """What is wrong with a request; nothing where all is well. headers: lower-case names."""
    where = f"{method} {path}"
    if not path.startswith(PREFIX):
        return [f"{where}: is not under {PREFIX}"]
    path = path.removeprefix(PREFIX)
    if path.startswith(NOT_IN_THE_FILE):
        return []
    found = _operation(method, path)
    if found is None:
        return [f"{where}: there is no such call"]
    operation, parameters = found
    known = {(p["in"], p["name"].lower()): p for p in parameters}
    wrong = [
        f"{where}: {name} is no parameter" for name in query if ("query", name.lower()) not in known
    ]
    for name in ("if-modified-since", "idempotency-key"):
        if name in headers and ("header", name) not in known:
            wrong.append(f"{where}: takes no {name}")
    answers = operation["responses"].get("200", {}).get("content", {})
    if "application/json" in answers and headers.get("accept") != "application/json":
        wrong.append(f"{where}: would be answered in XML")
    if not headers.get("xero-tenant-id"):
        wrong.append(f"{where}: names no organisation")
    for (place, name), parameter in known.items():
        given = query.get(parameter["name"]) if place == "query" else headers.get(name)
        if given is not None and len(given) > parameter["schema"].get("maxLength", 10_000):
            wrong.append(f"{where}: {name} is too long")
    asked = _resolved(operation.get("requestBody", {}))
    content = asked.get("content", {}).get("application/json")
    if body and content is None and asked.get("content"):  # a file
        if not headers.get("content-type"):
            wrong.append(f"{where}: the file's type is not said")
    elif body:
        if content is None:
            return [*wrong, f"{where}: takes no body"]
        if headers.get("content-type") != "application/json":
            wrong.append(f"{where}: the body's type is not said")
        value = json.loads(body)
        wrong += [
            f"{where}: {e.message} at {e.json_path}" for e in _faults(content["schema"], value)
        ]
        wrong += [f"{where}: {text}" for text in _members(content["schema"], value, "")]
    elif content is not None:
        wrong.append(f"{where}: lacks its body")
    return wrong


def _operation(method: str, path: str) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
    for pattern, item in _paths():
        if method.lower() in item and pattern.fullmatch(unquote(path)):
            operation = item[method.lower()]
            listed = [*item.get("parameters", []), *operation.get("parameters", [])]
            return operation, [_resolved(parameter) for parameter in listed]
    return None


@cache
def _paths() -> list[tuple[re.Pattern[str], dict[str, Any]]]:
    return [
        (re.compile(re.sub(r"\{\w+\}", "[^/]+", template)), item)
        for template, item in document()["paths"].items()
    ]


def _resolved(value: dict[str, Any]) -> dict[str, Any]:
    reference = value.get("$ref")
    if reference is None:
        return value
    found: Any = document()
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    resolved: dict[str, Any] = found
    return resolved


_validators: dict[str, Draft202012Validator] = {}


def _faults(schema: dict[str, Any], value: Any) -> list[Any]:
    """schema: of a body. Its validator reads the whole file, so it is made once."""
    key = json.dumps(schema, sort_keys=True)
    if key not in _validators:
        whole = {"components": document()["components"], **schema}
        _validators[key] = Draft202012Validator(whole)
    return list(_validators[key].iter_errors(value))


def _members(schema: dict[str, Any], value: Any, at: str) -> list[str]:
    schema = _resolved(schema)
    if isinstance(value, list):
        inner = schema.get("items", {})
        return [text for row in value for text in _members(inner, row, f"{at}[]")]
    if not isinstance(value, dict):
        return []
    properties = schema.get("properties")
    if properties is None:
        return []
    wrong = []
    for name, member in value.items():
        if name in MEMBERS_SINCE:
            continue
        if name not in properties:
            wrong.append(f"{at}.{name} is not known")
            continue
        # A key is "read-only" here and there; sent, it says which record is meant.
        if properties[name].get("readOnly") and not name.endswith("ID"):
            wrong.append(f"{at}.{name} is read-only")
        wrong += _members(properties[name], member, f"{at}.{name}")
    return wrong
