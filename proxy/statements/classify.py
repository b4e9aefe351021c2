"""Decides what a string of SQL is to the proxy: nothing, a write, a transaction command.

Cheap answers come first, since every statement of every client passes here: a plain SELECT
by its first word, anything without a writing word or without a mirrored name by a search of
the text, what was seen before by its bytes; only the rest is parsed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pglast import ast, enums, parse_sql
from pglast.parser import ParseError
from pglast.stream import RawStream

from proxy.statements.model import (
    Kind,
    MirrorNames,
    Refusal,
    Statement,
    Verb,
    Write,
)

CACHED_BYTES = 8192  # longer texts carry literals and do not come twice
CACHE_ENTRIES = 4096
PASSING_BYTES = 1024  # a Parse message longer than this is not remembered

WRITING = re.compile(r"\b(?:insert|update|delete|merge|copy|truncate)\b", re.I)
_CONTROL = (
    r"(?:begin|start|commit|end|rollback|abort|savepoint|release|prepare|execute|deallocate"
    r"|discard)\b"
)
# Where a statement can begin: with the text, behind a semicolon, behind a comment. The blanks
# end with their line, so that no blank is looked at twice.
CONTROL_FIRST = re.compile(r"\s*" + _CONTROL, re.I)
CONTROL_LATER = re.compile(r"[;\n\r/][^\S\n\r]*" + _CONTROL, re.I)
LITERAL = re.compile(r"""'[^']*'|("[^"]*")""")

_TRANSACTION_VERBS = {
    enums.TransactionStmtKind.TRANS_STMT_BEGIN: Verb.BEGIN,
    enums.TransactionStmtKind.TRANS_STMT_START: Verb.BEGIN,
    enums.TransactionStmtKind.TRANS_STMT_COMMIT: Verb.COMMIT,
    enums.TransactionStmtKind.TRANS_STMT_ROLLBACK: Verb.ROLLBACK,
    enums.TransactionStmtKind.TRANS_STMT_SAVEPOINT: Verb.SAVEPOINT,
    enums.TransactionStmtKind.TRANS_STMT_RELEASE: Verb.RELEASE,
    enums.TransactionStmtKind.TRANS_STMT_ROLLBACK_TO: Verb.ROLLBACK_TO,
    enums.TransactionStmtKind.TRANS_STMT_PREPARE: Verb.PREPARE_TRANSACTION,
    enums.TransactionStmtKind.TRANS_STMT_COMMIT_PREPARED: Verb.OTHER,
    enums.TransactionStmtKind.TRANS_STMT_ROLLBACK_PREPARED: Verb.OTHER,
}
_WRITES = (ast.InsertStmt, ast.UpdateStmt, ast.DeleteStmt, ast.MergeStmt)
_VERBS = {
    ast.InsertStmt: "INSERT",
    ast.UpdateStmt: "UPDATE",
    ast.DeleteStmt: "DELETE",
    ast.MergeStmt: "MERGE",
}

UNREADABLE = Refusal(
    "cannot read this statement, and it names a mirrored table",
    "Use client_encoding UTF8 and standard_conforming_strings on.",
)


class Classifier:
    """Reads strings against the names of one database; remembers what it read.

    A parser failure is no answer of ours: the text passes and Postgres reports it.
    """

    def __init__(self, names: MirrorNames) -> None:
        self._cache: dict[bytes, tuple[Statement, ...]] = {}
        # Parse messages whose text was read in UTF-8 with conforming strings, and may pass.
        self.passing: set[bytes] = set()
        self.set_names(names)

    def set_names(self, names: MirrorNames) -> None:
        self.names = names
        self._cache.clear()
        self.passing.clear()
        words = {name.casefold() for name in names.names}
        # Who finds `invoice` need not look for `invoice_line`.
        self._words = [w for w in words if not any(o in w for o in words if o != w)]

    def read(self, sql: bytes, codec: str | None, conforming: bool = True) -> tuple[Statement, ...]:
        """The statements of a string; () where the whole string may pass unread.

        codec: Python's name for the client's encoding, None where there is none.
        conforming: whether standard_conforming_strings is on.
        """
        if not self._words:
            return ()
        if sql[:6].upper() == b"SELECT" and sql.find(b";", 0, -1) < 0:
            return ()
        cacheable = len(sql) <= CACHED_BYTES and codec == "utf-8" and conforming
        if cacheable and (known := self._cache.get(sql)) is not None:
            return known
        found = self._read(sql, codec, conforming)
        if cacheable:
            if len(self._cache) >= CACHE_ENTRIES:
                self._cache.pop(next(iter(self._cache)))
            self._cache[sql] = found
        return found

    def note_passing(self, message: bytes) -> None:
        """A Parse message whose text may pass, in a session as most are."""
        if len(message) <= PASSING_BYTES:
            if len(self.passing) >= CACHE_ENTRIES:
                self.passing.clear()
            self.passing.add(message)

    def _read(self, sql: bytes, codec: str | None, conforming: bool) -> tuple[Statement, ...]:
        try:
            text = sql.decode(codec or "ascii")
            readable = conforming or b"\\" not in sql
        except UnicodeDecodeError:
            text, readable = sql.decode("latin-1"), False
        names_mirror = self._names_mirror(text) and WRITING.search(text) is not None
        if names_mirror and readable and len(text) > CACHED_BYTES:
            names_mirror = self._names_mirror(_without_literals(text))
        if not names_mirror and not CONTROL_FIRST.match(text) and not CONTROL_LATER.search(text):
            return ()
        if not readable:
            if names_mirror:
                return (Statement(Kind.REFUSE, text, 0, len(text), refusal=UNREADABLE),)
            return ()
        try:
            parsed = parse_sql(text)
        except (ParseError, RecursionError):
            return ()
        pieces = tuple(self._pieces(text, parsed))
        if all(piece.kind is Kind.PASS for piece in pieces):
            return ()
        return pieces

    def _names_mirror(self, text: str) -> bool:
        folded = text.casefold()
        return any(word in folded for word in self._words)

    def _pieces(self, text: str, parsed: Any) -> Iterator[Statement]:
        for raw in parsed:
            start = raw.stmt_location
            end = start + raw.stmt_len if raw.stmt_len else len(text)
            yield self._one(raw.stmt, text[start:end], start, end)

    def _one(self, node: Any, text: str, start: int, end: int) -> Statement:
        if isinstance(node, ast.TransactionStmt):
            verb = _TRANSACTION_VERBS[node.kind or enums.TransactionStmtKind.TRANS_STMT_BEGIN]
            return Statement(Kind.TRANSACTION, text, start, end, verb=verb, chain=bool(node.chain))
        if isinstance(node, ast.ExecuteStmt):
            arguments = ", ".join(RawStream()(part) for part in node.params or ())
            return Statement(Kind.EXECUTE, text, start, end, name=node.name, arguments=arguments)
        if isinstance(node, ast.DeallocateStmt):
            return Statement(Kind.FORGET, text, start, end, name=node.name)
        if isinstance(node, ast.DiscardStmt):
            return Statement(Kind.FORGET, text, start, end)
        if isinstance(node, ast.PrepareStmt):
            inner = self._statement(node.query, text, start, end)
            if inner.kind is Kind.PASS:
                return inner
            return Statement(
                Kind.PREPARE,
                text,
                start,
                end,
                name=node.name,
                write=inner.write,
                refusal=inner.refusal,
            )
        return self._statement(node, text, start, end)

    def _statement(self, node: Any, text: str, start: int, end: int) -> Statement:
        passed = Statement(Kind.PASS, text, start, end)

        def refuse(of: Any, message: str, hint: str, sqlstate: str = "0A000") -> Statement:
            refusal = Refusal(message, hint, sqlstate, (of.schemaname, of.relname))
            return Statement(Kind.REFUSE, text, start, end, refusal=refusal)

        if isinstance(node, ast.TruncateStmt):
            for relation in node.relations or ():
                if self._mirrored(relation):
                    return refuse(
                        relation,
                        f'TRUNCATE of the mirrored table "{relation.relname}" is not supported',
                        "Use DELETE, which says row by row what the provider did.",
                    )
            return passed
        if isinstance(node, ast.CopyStmt):
            if node.is_from and node.relation is not None and self._mirrored(node.relation):
                return refuse(
                    node.relation,
                    f'COPY into the mirrored table "{node.relation.relname}" is not supported',
                    "Use INSERT; several rows in one statement travel together.",
                )
            if node.query is None:
                return passed
        if isinstance(node, ast.ExplainStmt):
            options = {o.defname for o in node.options or () if _is_true(o)}
            run = [w for w in _writes_in(node.query) if self._mirrored(w.relation)]
            if "analyze" in options and run:
                return refuse(
                    run[0].relation,
                    "EXPLAIN ANALYZE of a write to a mirrored table is not supported",
                    "Use EXPLAIN without ANALYZE, which runs nothing.",
                    "55000",
                )
            return passed
        writes = list(_writes_in(node))
        ours = [w for w in writes if self._mirrored(w.relation)]
        if not ours:
            return passed
        if len(ours) > 1:
            return refuse(
                ours[0].relation,
                "two writes to mirrored tables in one statement are not supported",
                "Run them one after the other, in a transaction if they belong together.",
            )
        (target,) = ours
        around = target is not node
        if around:
            problem = _around_problem(node, target, writes)
            if problem:
                return refuse(target.relation, *problem)
        elif len(writes) > 1:
            return refuse(
                target.relation,
                "a write to a local table inside a write to a mirrored table is not supported",
                "Run them one after the other, in a transaction.",
            )
        return Statement(
            Kind.WRITE,
            text,
            start,
            end,
            write=Write(
                verb=_VERBS[type(target)],
                place=(target.relation.schemaname, target.relation.relname),
                alias=target.relation.alias.aliasname if target.relation.alias else None,
                returns=target.returningClause is not None,
                shows=isinstance(node, ast.SelectStmt) or node.returningClause is not None,
                tree=node,
                target=target,
                by_id=None if around else _by_id(target),
                around=around,
                parameters=any(isinstance(n, ast.ParamRef) for n in walk(node)),
            ),
        )

    def _mirrored(self, relation: Any) -> bool:
        if relation.schemaname is None:
            return relation.relname in self.names.names
        return (relation.schemaname, relation.relname) in self.names.relations


def _without_literals(text: str) -> str:
    """The text less its quoted values, the whole where a quote may mean something else.

    A long statement is mostly values, and parsing them takes 1 s per MB, in which no other
    client of the process is served.
    """
    if any(mark in text for mark in ("\\", "$", "--", "/*")):
        return text
    return LITERAL.sub(r"\1", text)


def walk(node: Any) -> Iterator[Any]:
    """Every node of a tree, the root first."""
    stack = [node]
    while stack:
        current = stack.pop()
        if isinstance(current, tuple):
            stack.extend(reversed(current))
        elif isinstance(current, ast.Node):
            yield current
            stack.extend(
                value
                for member in current
                if isinstance(value := getattr(current, member), (ast.Node, tuple))
            )


def _writes_in(node: Any) -> Iterator[Any]:
    return (n for n in walk(node) if isinstance(n, _WRITES))


def _is_true(option: Any) -> bool:
    if option.arg is None:
        return True
    value = getattr(option.arg, "sval", getattr(option.arg, "ival", None))
    return str(value).lower() in ("1", "true", "on", "yes", "t")


def _around_problem(node: Any, target: Any, writes: list[Any]) -> tuple[str, str] | None:
    """Why a statement around a writing WITH cannot be run a second time, if it cannot."""
    clause = getattr(node, "withClause", None)
    holder = next((c for c in (clause.ctes if clause else ()) if c.ctequery is target), None)
    if holder is None:
        return (
            "a write to a mirrored table nested this deep is not supported",
            "Put it into the WITH of the outermost statement, or run it by itself.",
        )
    if any(w is not target and w is not node for w in writes):
        return (
            "several writes in the WITH of one statement are not supported",
            "Run them one after the other, in a transaction.",
        )
    if isinstance(target, ast.MergeStmt):
        return ("MERGE in a WITH is not supported", "Run the MERGE by itself.")
    inside = {id(n) for n in walk(target)}
    for other in walk(node):
        if (
            isinstance(other, ast.RangeVar)
            and id(other) not in inside
            and other.relname == target.relation.relname
        ):
            return (
                "a statement that reads the mirrored table which its WITH writes is not supported",
                "Run the write first, then read in a statement of its own.",
            )
    return None


def _by_id(target: Any) -> tuple[str, str | int] | None:
    """`where id = <text or parameter>` and nothing else, of an UPDATE or DELETE."""
    if not isinstance(target, (ast.UpdateStmt, ast.DeleteStmt)):
        return None
    where: Any = target.whereClause
    others = getattr(target, "fromClause", None) or getattr(target, "usingClause", None)
    if (
        others
        or not isinstance(where, ast.A_Expr)
        or where.kind != enums.A_Expr_Kind.AEXPR_OP
        or (where.name or ())[-1].sval != "="
    ):
        return None
    sides = (where.lexpr, where.rexpr)
    column: Any = next((s for s in sides if isinstance(s, ast.ColumnRef)), None)
    value: Any = next((s for s in sides if not isinstance(s, ast.ColumnRef)), None)
    if column is None or getattr(column.fields[-1], "sval", None) != "id":
        return None
    while isinstance(value, ast.TypeCast):
        value = value.arg
    if isinstance(value, ast.ParamRef):
        return ("parameter", value.number or 0)
    if isinstance(value, ast.A_Const) and isinstance(value.val, ast.String):
        return ("text", value.val.sval or "")
    return None
