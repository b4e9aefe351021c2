"""The filter and order language: `Status=="AUTHORISED" AND Date >= DateTime(2026, 10, 01)`.

Text in, functions over records out; bad text is refused as the service refuses it. Names are
looked up among the members of the object, without regard to case, inside nested objects too.

    or   := and (("OR" | "||") and)*          and := not (("AND" | "&&") not)*
    not  := ["!"] atom                         atom := "(" or ")" | value [compare value]
    value := literal | DateTime(…) | Guid("…") | name(.name)* [.method(value)]

Source: reference, "Filters".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NoReturn

from sqlsync.simulators.xero.fields import Member, members_of
from sqlsync.simulators.xero.problems import bad_query
from sqlsync.simulators.xero.values import is_uuid

Getter = Callable[[tuple[str, ...]], Any]  # path -> value of one record
Test = Callable[[Getter], bool]

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<text>"(?:[^"\\]|\\.)*")
  | (?P<number>-?\d+(?:\.\d+)?)
  | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<sign>&&|\|\||==|!=|<>|>=|<=|[=<>()!.,])
  )""",
    re.X,
)
_COMPARE = ("==", "=", "!=", "<>", ">", ">=", "<", "<=")
_METHODS = ("contains", "startswith", "endswith", "tolower", "toupper")


@dataclass(frozen=True, slots=True)
class _Value:
    """An operand. kind: text number boolean date guid null record."""

    kind: str
    get: Callable[[Getter], Any]
    is_constant: bool = False


class _Reader:
    def __init__(self, type_name: str, text: str, *, guid_needs_function: bool) -> None:
        self.type_name = type_name
        self.text = text
        self.guid_needs_function = guid_needs_function
        self.names: list[tuple[str, ...]] = []  # paths that were named, lower case
        self.tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(text.rstrip()):
            found = _TOKEN.match(text, at)
            if found is None:
                raise bad_query(f"Syntax error '{text[at : at + 1]}'")
            kind = str(found.lastgroup)
            self.tokens.append((kind, found[kind]))
            at = found.end()
        self.at = 0

    # -- tokens -------------------------------------------------------------------------------

    def peek(self, ahead: int = 0) -> tuple[str, str]:
        place = self.at + ahead
        return self.tokens[place] if place < len(self.tokens) else ("end", "")

    def take(self) -> tuple[str, str]:
        token = self.peek()
        self.at += 1
        return token

    def accept(self, *texts: str) -> bool:
        kind, text = self.peek()
        if kind in ("sign", "word") and text.upper() in texts:
            self.at += 1
            return True
        return False

    def expect(self, text: str) -> None:
        if not self.accept(text):
            self.fail(f"'{text}' expected")

    def fail(self, message: str) -> NoReturn:
        raise bad_query(message)

    # -- grammar ------------------------------------------------------------------------------

    def whole(self) -> Test:
        test = self.either()
        if self.peek()[0] != "end":
            self.fail("Syntax error")
        return test

    def either(self) -> Test:
        tests = [self.both()]
        while self.accept("OR", "||"):
            tests.append(self.both())
        return tests[0] if len(tests) == 1 else lambda get: any(test(get) for test in tests)

    def both(self) -> Test:
        tests = [self.negated()]
        while self.accept("AND", "&&"):
            tests.append(self.negated())
        return tests[0] if len(tests) == 1 else lambda get: all(test(get) for test in tests)

    def negated(self) -> Test:
        if self.accept("!", "NOT"):
            inner = self.negated()
            return lambda get: not inner(get)
        return self.atom()

    def atom(self) -> Test:
        if self.accept("("):
            inner = self.either()
            self.expect(")")
            return inner
        left = self.value()
        kind, sign = self.peek()
        if kind == "sign" and sign in _COMPARE:
            self.at += 1
            return self.compared(left, sign, self.value())
        if left.kind != "boolean":
            self.fail("Expression of type 'Boolean' expected")
        return lambda get: bool(left.get(get))

    def compared(self, left: _Value, sign: str, right: _Value) -> Test:
        sign = {"=": "==", "<>": "!="}.get(sign, sign)
        kinds = {left.kind, right.kind} - {"null"}
        if kinds == {"guid", "text"} and not self.guid_needs_function:
            kinds = {"text"}
        if len(kinds) > 1 or "record" in kinds:
            names = [_CLR.get(value.kind, "Object") for value in (left, right)]
            if not ("record" in kinds and "null" in (left.kind, right.kind)):
                self.fail(
                    f"Operator '{sign}' incompatible with operand types '{names[0]}' and "
                    f"'{names[1]}'"
                )
        if sign in (">", ">=", "<", "<=") and kinds & {"boolean", "guid", "record"}:
            self.fail(f"Operator '{sign}' incompatible with operand types")
        folds = "text" in kinds and self.type_name == "Contact"
        return _comparison(left.get, sign, right.get, folds=folds)

    def value(self) -> _Value:
        kind, text = self.take()
        if kind == "text":
            return self.called(_constant("text", re.sub(r"\\(.)", r"\1", text[1:-1])))
        if kind == "number":
            return _constant("number", Decimal(text))
        if kind != "word":
            self.fail("Expression expected" if kind == "end" else f"Syntax error at '{text}'")
        lowered = text.lower()
        if lowered in ("true", "false"):
            return _constant("boolean", lowered == "true")
        if lowered == "null":
            return _constant("null", None)
        if self.peek() == ("sign", "("):
            if lowered == "datetime":
                return self.moment()
            if lowered == "guid":
                return self.guid()
            self.fail(f"No applicable method '{text}' exists in type '{self.type_name}'")
        return self.named(text)

    def moment(self) -> _Value:
        self.expect("(")
        parts: list[int] = []
        while not self.accept(")"):
            kind, text = self.take()
            if kind != "number":
                self.fail("DateTime takes numbers")
            parts.append(int(text))
            self.accept(",")
        try:
            return _constant("date", datetime(*parts))  # type: ignore[arg-type]  # noqa: DTZ001
        except (ValueError, TypeError):
            self.fail("DateTime takes year, month, day")

    def guid(self) -> _Value:
        self.expect("(")
        kind, text = self.take()
        if kind != "text" or not is_uuid(text[1:-1]):
            self.fail("Guid should contain 32 digits with 4 dashes")
        self.expect(")")
        return _constant("guid", text[1:-1].lower())

    def named(self, first: str) -> _Value:
        path: list[str] = []
        type_name, word = self.type_name, first
        while True:
            member = members_of(type_name).get(word.lower())
            if member is None:
                self.fail(f"No property or field '{word}' exists in type '{type_name}'")
            path.append(member.name)
            after = self.peek(1)[1].lower()
            if self.peek() != ("sign", ".") or after in _METHODS:
                break
            if member.kind == "date" and after in ("date", "value"):
                self.at += 2
                break
            if member.kind != "object":
                self.fail(f"No property or field '{self.peek(1)[1]}' exists in type")
            self.at += 1
            type_name, word = member.of, self.take()[1]
        if member.kind == "list":
            self.fail(f"The property '{member.name}' cannot be filtered")
        names = tuple(path)
        self.names.append(tuple(name.lower() for name in names))
        return self.called(_Value(_kind(member), lambda get: get(names)))

    def called(self, value: _Value) -> _Value:
        while self.peek() == ("sign", ".") and self.peek(1)[1].lower() in _METHODS:
            self.at += 1
            method = self.take()[1].lower()
            if value.kind != "text":
                self.fail(f"No applicable method '{method}' exists")
            self.expect("(")
            if method in ("tolower", "toupper"):
                self.expect(")")
                value = _Value("text", _changed(value.get, method))
                continue
            argument = self.value()
            self.expect(")")
            if argument.kind != "text":
                self.fail(f"No applicable method '{method}' exists")
            folds = self.type_name == "Contact"
            value = _Value("boolean", _found(value.get, method, argument.get, folds=folds))
        return value


_CLR = {
    "text": "String",
    "number": "Decimal",
    "boolean": "Boolean",
    "date": "DateTime",
    "guid": "Guid",
    "null": "Object",
}


def _kind(member: Member) -> str:
    return {
        "decimal": "number",
        "integer": "number",
        "boolean": "boolean",
        "date": "date",
        "datetime": "date",
        "uuid": "guid",
        "object": "record",
    }.get(member.kind, "text")


def _constant(kind: str, value: Any) -> _Value:
    return _Value(kind, lambda get: value, True)


def _changed(get_value: Callable[[Getter], Any], method: str) -> Callable[[Getter], Any]:
    def changed(get: Getter) -> Any:
        value = get_value(get)
        if value is None:
            return None
        return str(value).lower() if method == "tolower" else str(value).upper()

    return changed


def _found(
    get_value: Callable[[Getter], Any],
    method: str,
    get_part: Callable[[Getter], Any],
    *,
    folds: bool,
) -> Callable[[Getter], bool]:
    def found(get: Getter) -> bool:
        value, part = get_value(get), get_part(get)
        if value is None:
            return False
        value, part = str(value), str(part)
        if folds:
            value, part = plain_text(value), plain_text(part)
        if method == "contains":
            return part in value
        return value.startswith(part) if method == "startswith" else value.endswith(part)

    return found


def plain_text(text: str) -> str:
    """Text without regard to case and accents, as contacts are compared."""
    apart = unicodedata.normalize("NFKD", text)
    return "".join(c for c in apart if not unicodedata.combining(c)).casefold()


def _comparable(value: Any, *, folds: bool) -> Any:
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001
    if isinstance(value, str) and folds:
        return plain_text(value)
    return value


def _comparison(
    left: Callable[[Getter], Any], sign: str, right: Callable[[Getter], Any], *, folds: bool
) -> Test:
    def test(get: Getter) -> bool:
        a, b = _comparable(left(get), folds=folds), _comparable(right(get), folds=folds)
        if sign == "==":
            return bool(a == b)
        if sign == "!=":
            return bool(a != b)
        if a is None or b is None:
            return False
        if sign == ">":
            return bool(a > b)
        if sign == ">=":
            return bool(a >= b)
        return bool(a < b) if sign == "<" else bool(a <= b)

    return test


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed `where`. names: the paths it looks at, lower case."""

    test: Test
    names: tuple[tuple[str, ...], ...]


def parse_where(type_name: str, text: str, *, guid_needs_function: bool = True) -> Filter:
    """Raises Refused (QueryParseException)."""
    reader = _Reader(type_name, text, guid_needs_function=guid_needs_function)
    test = reader.whole()
    return Filter(test, tuple(reader.names))


@dataclass(frozen=True, slots=True)
class Order:
    """One key of an `order`."""

    path: tuple[str, ...]
    is_descending: bool


def parse_order(type_name: str, text: str) -> list[Order]:
    """`Name`, `Date DESC, Total`. Raises Refused (QueryParseException)."""
    found: list[Order] = []
    for part in text.split(","):
        words = part.split()
        if not words or len(words) > 2:
            raise bad_query(f"Syntax error in order '{part.strip()}'")
        direction = words[1].upper() if len(words) == 2 else "ASC"
        if direction not in ("ASC", "DESC", "ASCENDING", "DESCENDING"):
            raise bad_query(f"Syntax error in order '{part.strip()}'")
        reader = _Reader(type_name, words[0], guid_needs_function=True)
        _, first = reader.take()
        reader.named(first)
        if reader.peek()[0] != "end":
            raise bad_query(f"Syntax error in order '{part.strip()}'")
        found.append(Order(_spelling(type_name, reader.names[0]), direction.startswith("DESC")))
    return found


def _spelling(type_name: str, lowered: tuple[str, ...]) -> tuple[str, ...]:
    found: list[str] = []
    for name in lowered:
        member = members_of(type_name)[name]
        found.append(member.name)
        type_name = member.of
    return tuple(found)


def sort_key(value: Any) -> tuple[int, Any]:
    """Missing values first; text without regard to case."""
    if value is None:
        return (0, 0)
    if isinstance(value, str):
        return (1, value.casefold())
    if isinstance(value, date) and not isinstance(value, datetime):
        return (1, datetime(value.year, value.month, value.day))  # noqa: DTZ001
    if isinstance(value, datetime):
        return (1, value.replace(tzinfo=None))
    return (1, value)
