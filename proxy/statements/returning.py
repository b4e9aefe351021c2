"""RETURNING of a held write: what is asked of the rehearsal, and what of the applied rows.

The rehearsal returns the client's own outputs and, behind them, hidden ones with the key of
each row. After the provider's answer has been applied, the outputs that look at the written
table are asked again, by key. The rest (constants, columns of FROM, sub-selects, which read
the table as it was before the write) keeps the rehearsed value. What an output that is asked
again takes from elsewhere (a column of FROM, a parameter of SQL EXECUTE) is carried over: its
value and its type are hidden outputs too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pglast import ast, parse_sql
from pglast.stream import RawStream

from proxy.statements.classify import walk
from proxy.statements.model import Refusal, Relation, Write

_PLACEHOLDER = re.compile(r"\b__carried(\d+)\b")
_SYSTEM = frozenset({"xmax", "xmin", "cmax", "cmin", "ctid", "tableoid"})


@dataclass(frozen=True, slots=True)
class Output:
    """One item of RETURNING. width: its columns, None where only the rehearsal can tell."""

    sql: str
    width: int | None
    asked_again: bool


@dataclass(frozen=True, slots=True)
class Returning:
    """How to run the rehearsal, and how to ask again.

    hidden: text to be appended to the client's own statement; its outputs, all text, are the
    keys, then value and type of each of `carried`.
    """

    hidden: str
    hidden_count: int
    outputs: tuple[Output, ...]
    carried: tuple[str, ...]  # expressions
    source: str  # FROM item of the target: schema-qualified, with the client's alias
    qualifier: str  # how a column of the target is named

    @property
    def asks(self) -> bool:
        return any(output.asked_again for output in self.outputs)

    def asked_places(self, total: int) -> list[int]:
        """Places of the outputs asked again among the `total` visible columns."""
        known = sum(o.width for o in self.outputs if o.width is not None)
        at = 0
        places: list[int] = []
        for output in self.outputs:
            width = output.width if output.width is not None else total - known
            if output.asked_again:
                places.extend(range(at, at + width))
            at += width
        return places


class CannotReturn(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def printed(write: Write) -> str:
    """The whole statement as text, where the client's own cannot be had."""
    return str(RawStream()(write.tree))


def read_returning(write: Write, relation: Relation, *, by_name: bool = False) -> Returning:
    """by_name: parameters are an EXECUTE's, unknown when it is asked again.

    Raises CannotReturn where a list cannot be rebuilt from applied rows.
    """
    if not relation.keys:
        raise CannotReturn(
            Refusal(
                f'RETURNING through the view "{relation.name}" needs the id among its columns',
                "Add the id to the view, or leave RETURNING out and SELECT afterwards.",
            )
        )
    qualifier = quoted(write.alias or write.name)
    source = f"{quoted(relation.schema)}.{quoted(relation.name)}"
    if write.alias:
        source += f" AS {quoted(write.alias)}"
    clause = write.target.returningClause
    again = write.verb in ("INSERT", "UPDATE")
    carried: list[str] = []
    outputs = tuple(
        part
        for item in clause.exprs
        for part in _outputs(item, write, relation, again, by_name, carried)
    )
    if sum(o.width is None for o in outputs) > 1 and any(o.asked_again for o in outputs):
        raise CannotReturn(
            Refusal("RETURNING with several stars is not supported here", "Name the columns.")
        )
    hidden = "".join(
        f", {qualifier}.{quoted(key)}::pg_catalog.text AS {quoted(f'__key{n}')}"
        for n, key in enumerate(relation.keys)
    ) + "".join(
        f", ({sql})::pg_catalog.text AS {quoted(f'__value{n}')},"
        f" pg_catalog.pg_typeof({sql})::pg_catalog.text AS {quoted(f'__type{n}')}"
        for n, sql in enumerate(carried)
    )
    return Returning(
        hidden="\n" + hidden,
        hidden_count=len(relation.keys) + 2 * len(carried),
        outputs=outputs,
        carried=tuple(carried),
        source=source,
        qualifier=qualifier,
    )


def _outputs(
    item: Any, write: Write, relation: Relation, again: bool, by_name: bool, carried: list[str]
) -> list[Output]:
    value: Any = item.val
    joined = bool(
        getattr(write.target, "fromClause", None)
        or getattr(write.target, "usingClause", None)
        or write.verb == "MERGE"
    )
    target_name = write.alias or write.name
    sql = RawStream()(item)
    fields: tuple[Any, ...] = (value.fields or ()) if isinstance(value, ast.ColumnRef) else ()
    if fields and isinstance(fields[-1], ast.A_Star):
        of = fields[-2].sval if len(fields) > 1 else None
        width = len(relation.columns)
        if of is None:
            star = Output(f"{quoted(target_name)}.*", width, again)
            return [star, Output("", None, False)] if joined else [star]
        if of == target_name:
            return [Output(sql, width, again)]
        if of in ("old", "new"):
            _refuse_old_new(write)
            return [Output(sql, width, False)]
        return [Output(sql, None, False)]
    if not again:
        return [Output(sql, 1, False)]
    of_target = False
    others: list[Any] = []
    for node in walk(value):
        if isinstance(node, ast.SubLink):
            return [Output(sql, 1, False)]
        if isinstance(node, ast.ParamRef) and by_name:
            others.append(node)
        if isinstance(node, ast.ColumnRef):
            names = [getattr(f, "sval", "*") for f in node.fields or ()]
            if names[-1] in _SYSTEM:
                return [Output(sql, 1, False)]
            if len(names) > 1 and names[-2] in ("old", "new"):
                _refuse_old_new(write)
                return [Output(sql, 1, False)]
            if len(names) > 1:
                mine = names[-2] == target_name or (
                    names[0] == target_name and names[1] in relation.columns
                )
            else:
                mine = names[0] in relation.columns or names[0] == target_name
            of_target |= mine
            if not mine:
                others.append(node)
    if of_target and others:
        sql = _carrying(sql, [RawStream()(node) for node in others], carried)
    return [Output(sql, 1, of_target)]


def _carrying(sql: str, others: list[str], carried: list[str]) -> str:
    """The item with each of the expressions `others` as a placeholder, which they join."""
    for other in others:
        if other not in carried:
            carried.append(other)
    select: Any = parse_sql(f"SELECT {sql}")[0].stmt
    item = select.targetList[0]

    def replaced(node: Any) -> Any:
        if isinstance(node, tuple):
            return tuple(replaced(part) for part in node)
        if not isinstance(node, ast.Node):
            return node
        if isinstance(node, (ast.ColumnRef, ast.ParamRef)) and RawStream()(node) in carried:
            place = carried.index(RawStream()(node))
            return ast.ColumnRef(fields=(ast.String(sval=f"__carried{place}"),))
        for member in node:
            value = getattr(node, member)
            if isinstance(value, (ast.Node, tuple)):
                setattr(node, member, replaced(value))
        return node

    return str(RawStream()(replaced(item)))


def _refuse_old_new(write: Write) -> None:
    if write.verb == "INSERT":
        raise CannotReturn(
            Refusal(
                "OLD and NEW in RETURNING of an INSERT are not supported on mirrored tables",
                "Name the columns without OLD or NEW.",
            )
        )


def key_source(relation: Relation, first_parameter: int, carried: int = 0) -> str:
    """A FROM item `__k(__k0, …, __c0, …, __ord)` of rows in order, one text array a column."""
    count = len(relation.keys) + carried
    # unnest of several arrays is grammar only where it stands unqualified.
    arrays = ", ".join(
        f"pg_catalog.unnest(${first_parameter + n}::pg_catalog.text[])" for n in range(count)
    )
    names = [f"__k{n}" for n in range(len(relation.keys))] + [f"__c{n}" for n in range(carried)]
    return f"ROWS FROM ({arrays}) WITH ORDINALITY AS __k({', '.join(names)}, __ord)"


def key_match(relation: Relation, qualifier: str) -> str:
    return " AND ".join(
        f"{qualifier}.{quoted(key)} = __k.__k{n}"
        + ("::pg_catalog.int4" if key == "position" else "")
        for n, key in enumerate(relation.keys)
    )


def answer_query(
    returning: Returning, relation: Relation, parameters: int, types: list[str]
) -> str:
    """The SELECT that shows the applied rows, in the order of the keys it is given.

    parameters: how many the client's own statement has; the keys and the carried values follow
    as text arrays. types: of the carried values. Raises CannotReturn for anonymous records.
    """
    if "record" in types:
        raise CannotReturn(
            Refusal(
                "RETURNING of an anonymous record of FROM beside columns of the written table"
                " is not supported",
                "Return its columns one by one.",
            )
        )
    items = ", ".join(output.sql for output in returning.outputs if output.asked_again)
    items = _PLACEHOLDER.sub(
        lambda found: f"CAST(__k.__c{found[1]} AS {types[int(found[1])]})", items
    )
    return (
        f"/* sqlsync */ SELECT __k.__ord, {items} "
        f"FROM {key_source(relation, parameters + 1, len(types))}, {returning.source} "
        f"WHERE {key_match(relation, returning.qualifier)} ORDER BY __k.__ord"
    )


def second_run(write: Write, relation: Relation, parameters: int) -> str:
    """The statement around a writing WITH, with the write replaced by its applied rows.

    Keys follow the client's parameters as text arrays; of a DELETE, whose rows are gone, one
    jsonb with the rows as they were.
    """
    target = write.target
    qualifier = quoted(write.alias or write.name)
    if target.returningClause is None:
        rows = "SELECT"
        where = " WHERE false"
        source = ""
    else:
        read_returning(write, relation)
        items = ", ".join(RawStream()(item) for item in target.returningClause.exprs)
        rows = f"SELECT {items}"
        if write.verb == "DELETE":
            source = (
                f" FROM pg_catalog.jsonb_populate_recordset(null::{quoted(relation.schema)}."
                f"{quoted(relation.name)}, ${parameters + 1}::pg_catalog.jsonb) AS {qualifier}"
            )
            where = ""
        else:
            alias = f" AS {quoted(write.alias)}" if write.alias else ""
            source = (
                f" FROM {key_source(relation, parameters + 1)}, {quoted(relation.schema)}."
                f"{quoted(relation.name)}{alias}"
            )
            where = f" WHERE {key_match(relation, qualifier)} ORDER BY __k.__ord"
    replaced = parse_sql(rows + source + where)[0].stmt
    holder = next(c for c in write.tree.withClause.ctes if c.ctequery is target)
    holder.ctequery = replaced
    try:
        return "/* sqlsync */ " + str(RawStream()(write.tree))
    finally:
        holder.ctequery = target
