"""The query language: text to a frozen Query, by its own grammar. Pure.

`SELECT * | COUNT(*) | a, b FROM Entity [WHERE c AND d] [ORDERBY p [ASC|DESC], …]
[STARTPOSITION n] [MAXRESULTS n]`; keywords and names in any case; no OR, no joins, no
grouping. A text that does not parse raises fault 4000, a bad value or name fault 4001.
Source: Intuit, "Query operations and syntax".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlsync.simulators.quickbooks.faults import Fault

MAX_RESULTS, DEFAULT_RESULTS = 1000, 100

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>'(?:\\.|''|[^'\\])*')
    | (?P<number>-?\d+(?:\.\d+)?(?![\w.]))
    | (?P<word>[A-Za-z_][A-Za-z0-9_.]*)
    | (?P<sign><=|>=|!=|<>|[=<>(),*])
    | (?P<other>\S)
    )""",
    re.VERBOSE,
)
_CLAUSES = ("SELECT", "FROM", "WHERE", "ORDERBY", "ORDER", "BY", "STARTPOSITION", "MAXRESULTS")
_SIGNS = ("AND", "OR", "NOT", "IN", "LIKE", "ASC", "DESC", "COUNT", "JOIN", "GROUP")
_KEYWORDS = frozenset((*_CLAUSES, *_SIGNS))


@dataclass(frozen=True, slots=True)
class Condition:
    """`property operator values`; values are texts, true and false included."""

    property: str
    operator: str  # = < > <= >= IN LIKE
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Query:
    entity: str
    columns: tuple[str, ...]  # empty: all
    counts: bool
    where: tuple[Condition, ...] = ()
    order: tuple[tuple[str, bool], ...] = ()  # property, descending
    start: int = 1
    limit: int = DEFAULT_RESULTS


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # string number word sign other end
    text: str
    position: int

    @property
    def keyword(self) -> str:
        return self.text.upper() if self.kind == "word" else ""


def parse(text: str) -> Query:
    """Raises Fault 4000 or 4001."""
    return _Parser(text).query()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[_Token] = []
        at = 0
        while (match := _TOKEN.match(text, at)) and match.end() > at:
            kind = match.lastgroup or "other"
            self.tokens.append(_Token(kind, match.group(kind), match.start(kind)))
            at = match.end()
        self.tokens.append(_Token("end", "", len(text)))
        self.at = 0

    def query(self) -> Query:
        self._keyword("SELECT")
        counts, columns = self._what()
        self._keyword("FROM")
        entity = self._take("word").text
        where: list[Condition] = []
        order: list[tuple[str, bool]] = []
        if self._accept("WHERE"):
            where.append(self._condition())
            while self._accept("AND"):
                where.append(self._condition())
        if self._accept("ORDERBY") or self._accept("ORDER"):
            self._accept("BY")
            order.append(self._ordering())
            while self._accept(","):
                order.append(self._ordering())
        start, limit = 1, DEFAULT_RESULTS
        while True:
            if self._accept("STARTPOSITION"):
                start = self._count(1, None)
            elif self._accept("MAXRESULTS"):
                limit = self._count(1, MAX_RESULTS)
            else:
                break
        if self._now.kind != "end":
            raise self._unexpected()
        return Query(entity, columns, counts, tuple(where), tuple(order), start, limit)

    # -- pieces ----------------------------------------------------------------------------

    def _what(self) -> tuple[bool, tuple[str, ...]]:
        if self._accept("COUNT"):
            for sign in "(*)":
                self._keyword(sign)
            return True, ()
        columns = [self._column()]
        while self._accept(","):
            columns.append(self._column())
        return False, () if "*" in columns else tuple(columns)

    def _column(self) -> str:
        """A property, `*`, or `Line.*`, which is in `*` anyway."""
        if self._accept("*"):
            return "*"
        name = self._property()
        if name.endswith("."):
            self._keyword("*")
        return name.rstrip(".")

    def _condition(self) -> Condition:
        bracketed = self._accept("(")
        name = self._property()
        token = self._now
        if self._accept("IN"):
            self._keyword("(")
            values = [self._value()]
            while self._accept(","):
                values.append(self._value())
            self._keyword(")")
            found = Condition(name, "IN", tuple(values))
        elif self._accept("LIKE"):
            found = Condition(name, "LIKE", (self._value(),))
        elif token.kind == "sign" and token.text in ("=", "<", ">", "<=", ">="):
            self.at += 1
            found = Condition(name, token.text, (self._value(),))
        else:
            raise self._unexpected()
        if bracketed:
            self._keyword(")")
        return found

    def _ordering(self) -> tuple[str, bool]:
        name = self._property()
        if self._accept("DESC"):
            return name, True
        self._accept("ASC")
        return name, False

    def _property(self) -> str:
        if self._now.keyword in _KEYWORDS:
            raise self._unexpected()
        return self._take("word").text

    def _value(self) -> str:
        token = self._now
        if token.kind == "string":
            self.at += 1
            return re.sub(r"\\(.)|''", lambda m: m.group(1) or "'", token.text[1:-1])
        if token.kind == "number":
            self.at += 1
            return token.text
        if token.keyword in ("TRUE", "FALSE", "CURRENT_DATE"):
            self.at += 1
            return token.text.lower() if token.keyword != "CURRENT_DATE" else "CURRENT_DATE"
        raise self._unexpected()

    def _count(self, least: int, most: int | None) -> int:
        token = self._now
        if token.kind != "number" or "." in token.text:
            raise self._unexpected()
        self.at += 1
        value = int(token.text)
        if value < least:
            raise invalid(f"value {value} is too small. Min allowed value is {least}")
        if most is not None and value > most:
            raise invalid(f"value {value} is too large. Max allowed value is {most}")
        return value

    # -- tokens -----------------------------------------------------------------------------

    @property
    def _now(self) -> _Token:
        return self.tokens[self.at]

    def _accept(self, word: str) -> bool:
        token = self._now
        if token.keyword == word or (token.kind == "sign" and token.text == word):
            self.at += 1
            return True
        return False

    def _keyword(self, word: str) -> None:
        if not self._accept(word):
            raise self._unexpected()

    def _take(self, kind: str) -> _Token:
        token = self._now
        if token.kind != kind or token.keyword in _KEYWORDS:
            raise self._unexpected()
        self.at += 1
        return token

    def _unexpected(self) -> Fault:
        token = self._now
        line = self.text.count("\n", 0, token.position) + 1
        column = token.position - (self.text.rfind("\n", 0, token.position) + 1) + 1
        if token.kind == "end":
            seen = '"<EOF>"'
        elif token.kind == "word":
            name = token.keyword if token.keyword in _KEYWORDS else "IDENTIFIER"
            seen = f'" <{name}> "{token.text} ""'
        elif token.kind == "string":
            seen = f'" <STRING_LITERAL> "{token.text} ""'
        else:
            seen = f'" "{token.text}" "{token.text} ""'
        detail = f"QueryParserError: Encountered {seen} at line {line}, column {column}."
        return Fault("4000", detail)


def invalid(text: str) -> Fault:
    return Fault("4001", f"QueryValidationError: {text}")


def unknown_column(name: str, entity: str) -> Fault:
    return invalid(f"Property {name} not found for Entity {entity}")
