"""Bodies sent to QuickBooks held against Intuit's own schemas, where they lie beside the project.

A small reader of XML schemas, enough for these files: every member must be an element of its
type, once or many times as the schema says, with a value of its simple type. JSON differs from
XML in known places: a reference is `{"value", "name"}`, attributes are members, and a few members
are in the documentation but not in the schema (`objects.yaml` is trusted before the schema).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

FOLDER = Path(__file__).parents[2] / "shared" / "reference" / "quickbooks" / "xsd"
FILES = (
    *("Finance.xsd", "IntuitBaseTypes.xsd", "IntuitNamesTypes.xsd"),
    *("IntuitRestServiceDef.xsd", "Report.xsd", "SalesTax.xsd"),
)
XS = "{http://www.w3.org/2001/XMLSchema}"

# In objects.yaml and not, or otherwise, in the schema: type -> member -> kind of its value.
MORE: dict[str, dict[str, str]] = {
    "Line": {"ProjectRef": "ReferenceType", "TaxInclusiveAmt": "xs:decimal"},
    "SalesItemLineDetail": {"TaxClassificationRef": "ReferenceType"},
    "RecurringInfo": {"NumInterval": "xs:decimal"},
}
# Enumerations that the documentation spells in another way, or more of.
SPELLINGS: dict[str, frozenset[str]] = {
    "SalesTermTypeEnum": frozenset({"STANDARD", "DATE_DRIVEN"}),
    "PaymentMethodEnum": frozenset({"CREDIT_CARD", "NON_CREDIT_CARD"}),
    "QboEstimateStatusEnum": frozenset({"Converted"}),
    "TaxRateApplicableOnEnum": frozenset(),
}
WRITTEN_AS = {"CreditCardPayment": "CreditCardPaymentTxn"}


@dataclass(frozen=True, slots=True)
class Member:
    """One element or attribute of a type. type: a name, with `xs:` where it is built in."""

    type: str
    many: bool = False


@dataclass(slots=True)
class Type:
    """A complex type (members) or a simple one (base, values, longest)."""

    base: str | None = None
    members: dict[str, Member] = field(default_factory=dict)
    values: set[str] = field(default_factory=set)
    patterns: list[str] = field(default_factory=list)
    longest: int | None = None
    simple: bool = False
    open: bool = False  # xs:any


def is_there() -> bool:
    return all((FOLDER / name).is_file() for name in FILES)


@cache
def schema() -> tuple[dict[str, Type], dict[str, str]]:
    """Types by name, and the type of each element at the top."""
    types: dict[str, Type] = {}
    elements: dict[str, str] = {}
    groups: dict[str, ElementTree.Element] = {}
    roots = [ElementTree.parse(FOLDER / name).getroot() for name in FILES]
    for root in roots:
        groups |= {g.get("name", ""): g for g in root.findall(f"{XS}group")}
    for root in roots:
        for node in root:
            name = node.get("name", "")
            if node.tag == f"{XS}element":
                elements.setdefault(name, node.get("type", name))
            elif node.tag in (f"{XS}complexType", f"{XS}simpleType"):
                types.setdefault(name, _type(node, groups, types, name))
    return types, elements


def _type(
    node: ElementTree.Element,
    groups: dict[str, ElementTree.Element],
    types: dict[str, Type],
    path: str,
) -> Type:
    made = Type(simple=node.tag == f"{XS}simpleType")
    for part in _parts(node, groups):
        kind = part.tag.removeprefix(XS)
        if kind in ("extension", "restriction"):
            made.base = part.get("base")
        elif kind == "enumeration":
            made.values.add(part.get("value", ""))
        elif kind == "pattern":
            made.patterns.append(part.get("value", ""))
        elif kind == "maxLength":
            made.longest = int(part.get("value", "0"))
        elif kind == "any":
            made.open = True
        elif kind in ("element", "attribute"):
            name = part.get("name") or part.get("ref", "")
            type = part.get("type") or part.get("ref") or "xs:string"
            inner = part.find(f"{XS}complexType")
            inner = inner if inner is not None else part.find(f"{XS}simpleType")
            if inner is not None:
                type = f"{path}.{name}"
                types[type] = _type(inner, groups, types, type)
            many = part.get("maxOccurs", "1") != "1"
            made.members[name] = Member(type, many)
    return made


def _parts(node: ElementTree.Element, groups: dict[str, ElementTree.Element]) -> Iterator[Any]:
    """What a type is made of, without what its elements are made of."""
    for part in node:
        yield part
        kind = part.tag.removeprefix(XS)
        if kind == "group" and part.get("ref"):
            yield from _parts(groups[part.get("ref", "")], groups)
        elif kind not in ("element", "attribute", "annotation"):
            yield from _parts(part, groups)


@cache
def members(name: str) -> dict[str, Member]:
    """Of a type and those it extends."""
    types, _ = schema()
    found: dict[str, Member] = {}
    type: str | None = name
    while type in types:
        found = {**types[type].members, **found}
        type = types[type].base
    return {**found, **{m: Member(kind) for m, kind in MORE.get(name, {}).items()}}


def problems(entity: str, body: Any) -> list[str]:
    """What is wrong with a body that is written as that entity; nothing where all is well."""
    name = WRITTEN_AS.get(entity, entity)
    if name == "RecurringTransaction" and isinstance(body, dict):
        inner = body.get(name, body)
        kinds = [kind for kind, value in inner.items() if isinstance(value, dict)]
        if len(kinds) == 1:  # the form that is made again and again
            return problems(kinds[0], inner[kinds[0]])
    types, elements = schema()
    if name == "Report" and name in types:  # a type that is an element of answers alone
        return list(_problems(name, body, entity))
    if name not in elements:
        return [f"{entity}: the schema has no such element"]
    return list(_problems(elements[name], body, entity))


def _problems(type: str, value: Any, where: str) -> Iterator[str]:
    if value is None:
        return
    types, _ = schema()
    held = types.get(type)
    if held is None or held.simple:
        yield from _simple(type, value, where)
        return
    known = members(type)
    if _is_reference(type):
        yield from _reference(value, where)
        return
    if not isinstance(value, dict):
        yield f"{where}: {value!r} is no {type}"
        return
    if "value" in value and "value" not in known and len(value) == 1:
        return  # text with attributes, as CustomerMemo
    for name, inner in value.items():
        if name in ("sparse", "domain", "status"):
            continue
        member = known.get(name)
        if member is None:
            if not held.open:
                yield f"{where}: {type} has no {name}"
            continue
        if isinstance(inner, list):
            if not member.many and inner:
                yield f"{where}.{name}: comes once, not as a list"
            for number, one in enumerate(inner):
                yield from _problems(member.type, one, f"{where}.{name}[{number}]")
        elif member.many and inner is not None:
            yield f"{where}.{name}: comes as a list"
        else:
            yield from _problems(member.type, inner, f"{where}.{name}")


def _is_reference(type: str) -> bool:
    return type == "ReferenceType" or type.endswith("RefType")


def _reference(value: Any, where: str) -> Iterator[str]:
    if not isinstance(value, dict) or not set(value) <= {"value", "name", "type"}:
        yield f"{where}: {value!r} is no reference"
    elif value and not isinstance(value.get("value"), str):  # {} is an empty element, as in XML
        yield f"{where}: the value of a reference is a text"


_BUILT_IN = {
    "xs:boolean": (bool,),
    "xs:decimal": (int, float, Decimal),
    "xs:integer": (int,),
    "xs:int": (int,),
    "xs:long": (int,),
    "xs:positiveInteger": (int,),
    "xs:nonNegativeInteger": (int,),
}
_FORMS = {
    "xs:date": r"\d{4}-\d\d-\d\d",
    "xs:dateTime": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?",
}


def _simple(type: str, value: Any, where: str) -> Iterator[str]:
    types, _ = schema()
    if isinstance(value, dict) and set(value) <= {"value", "name"}:
        value = value.get("value")
    if isinstance(value, (dict, list)):
        yield f"{where}: a plain value is due, of {type}"
        return
    held = types.get(type)
    if held is not None:
        text = str(value)
        if held.values and text not in held.values | SPELLINGS.get(type, frozenset()):
            yield f"{where}: {text!r} is none of {type}"
        if held.longest is not None and len(text) > held.longest:
            yield f"{where}: longer than {held.longest}"
        if held.base and not held.values:
            yield from _simple(held.base, value, where)
        return
    kinds = _BUILT_IN.get(type)
    if kinds is not None:
        if isinstance(value, bool) != (kinds == (bool,)) or not isinstance(value, kinds):
            yield f"{where}: {value!r} is no {type}"
    elif not isinstance(value, str):
        yield f"{where}: {value!r} is no text"
    elif type in _FORMS and value and not re.fullmatch(_FORMS[type], value):
        yield f"{where}: {value!r} is no {type}"
