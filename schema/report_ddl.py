"""The SQL of reports: their tables, `_sync_report`, and a function over the stored runs. Pure.

Every report's table begins with the columns of sqlsync.report_row; its own follow. `_sync_report`
has one row a stored run: what was asked, how it stands, what the provider said of the whole.
What is there is added to and never dropped; the functions behind the tables come with migration
0006_reports.
"""

from __future__ import annotations

from schema.ddl import READER, WRITER, literal, quote
from schema.model import Catalog
from schema.report_model import ParameterKind, ReportSpec

REPORT_GUARD = "00_sqlsync_report"

_SQL_TYPES = {
    ParameterKind.DATE: "date",
    ParameterKind.INTEGER: "integer",
    ParameterKind.BOOLEAN: "boolean",
}


def report_bookkeeping_ddl(schema_name: str) -> list[str]:
    """`_sync_report` and `_sync_report_parameter`."""
    s = quote(schema_name)
    made = [
        f"""create table if not exists {s}._sync_report (
    id bigint generated always as identity primary key,
    report text not null,
    table_name text not null,
    parameters jsonb not null default '{{}}',
    is_default boolean not null default false,
    state text not null default 'pending'
        check (state in ('pending', 'refreshing', 'ready', 'error')),
    period_start date,
    period_end date,
    accounting_method text,
    currency text,
    as_of timestamptz,
    fetched_at timestamptz,
    row_count integer,
    no_data boolean,
    scheduled boolean not null default false,
    refresh_every interval,
    requested_at timestamptz,
    requested_by text,
    started_at timestamptz,
    next_run_at timestamptz,
    failures integer not null default 0,
    error text,
    columns jsonb,
    header jsonb
)""",
        f"""create unique index if not exists _sync_report_asked_idx
    on {s}._sync_report (report, md5(parameters::text))""",
        f"""create table if not exists {s}._sync_report_parameter (
    report text not null,
    name text not null,
    position integer not null,
    api_name text not null,
    kind text not null,
    role text,
    required boolean not null,
    choices text[],
    most integer,
    references_table text,
    comment text,
    primary key (report, name)
)""",
    ]
    comments = {
        "_sync_report": "The stored runs of reports: what was asked, how each stands, errors",
        "_sync_report_parameter": "What each report can be asked with",
    }
    for name, comment in comments.items():
        made.append(f"comment on table {s}.{name} is {literal(comment)}")
        made.append(f"grant select on {s}.{name} to {READER}")
    return made


def report_ddl(
    catalog: Catalog, spec: ReportSpec, schema_name: str, *, exists: bool = False
) -> list[str]:
    """A report's table, or the columns it lacks; its guard, its function, its parameters."""
    table = quote(schema_name, spec.table)
    own = "".join(f"    {quote(n)} {kind.value},\n" for n, kind, _ in spec.table_columns)
    make = (
        f"create table {table} (\n    like sqlsync.report_row including comments,\n{own}"
        "    primary key (run_id, row_number)\n)"
    )
    complete = [
        f"alter table {table} add column if not exists {quote(name)} {kind.value}"
        for name, kind, _ in spec.table_columns
    ]
    guard = (
        f"create or replace trigger {quote(REPORT_GUARD)}"
        f" before insert or update or delete or truncate on {table} for each statement"
        f" execute function sqlsync.report_guard({literal(catalog.title)}, {literal(spec.name)})"
    )
    return [
        *(complete if exists else [make]),
        f"comment on table {table} is {literal(_table_comment(catalog, spec))}",
        *(
            f"comment on column {quote(schema_name, spec.table, name)} is {literal(comment)}"
            for name, _, comment in spec.table_columns
        ),
        guard,
        f"alter table {table} enable always trigger {quote(REPORT_GUARD)}",
        f"grant select on {table} to {READER}",
        # So that a writer is told why by the guard, and not that he lacks a privilege.
        f"grant insert, update, delete on {table} to {WRITER}",
        *function_ddl(spec, schema_name),
        *parameter_rows(spec, schema_name),
    ]


def _table_comment(catalog: Catalog, spec: ReportSpec) -> str:
    return f"Report {spec.name} of {catalog.title}: {spec.comment}. One row a row of a stored run"


def function_ddl(spec: ReportSpec, schema_name: str) -> list[str]:
    """`profit_and_loss(start_date => …)`: the rows of the stored run that was asked so.

    A version with other parameters is dropped first, unless a view of the user's needs it:
    then that one stays, and this one is not made.
    """
    name = quote(schema_name, spec.table)
    arguments = ", ".join(
        f"{quote(p.name)} {_SQL_TYPES.get(p.kind, 'text')} default null" for p in spec.parameters
    )
    given = ", ".join(f"{literal(p.name)}, ${n}" for n, p in enumerate(spec.parameters, start=1))
    body = (
        f"select r.* from {name} r where r.run_id = (select sqlsync.stored_report("
        f"{literal(schema_name)}, {literal(spec.name)}, pg_catalog.jsonb_build_object({given})))"
        " order by r.row_number"
    )
    made = (
        f"create or replace function {name}({arguments}) returns setof {name}"
        f" language sql stable as {literal(body)}"
    )
    comment = f"The rows of a stored run of {spec.name}, the latest that fits the arguments"
    types = ", ".join(_SQL_TYPES.get(p.kind, "text") for p in spec.parameters)
    commented = f"comment on function {name}({types}) is {literal(comment)}"
    words = (schema_name, spec.table, types, made, commented)
    return [f"select sqlsync.replace_function({', '.join(literal(word) for word in words)})"]


def parameter_rows(spec: ReportSpec, schema_name: str) -> list[str]:
    """The rows of `_sync_report_parameter`, in place of those there are."""
    target = f"{quote(schema_name)}._sync_report_parameter"
    statements = [f"delete from {target} where report = {literal(spec.name)}"]
    if not spec.parameters:
        return statements
    rows = ",\n".join(
        "("
        + ", ".join(
            [
                literal(spec.name),
                literal(p.name),
                str(number),
                literal(p.api_name),
                literal(p.kind.value),
                _or_null(p.role.value if p.role else None),
                "true" if p.name in spec.required else "false",
                f"array[{', '.join(literal(c) for c in p.choices)}]" if p.choices else "null",
                "null" if p.most is None else str(p.most),
                _or_null(p.references),
                literal(p.comment),
            ]
        )
        + ")"
        for number, p in enumerate(spec.parameters, start=1)
    )
    insert = (
        f"insert into {target} (report, name, position, api_name, kind, role, required, choices,"
        f" most, references_table, comment) values\n{rows}"
    )
    return [*statements, insert]


def _or_null(text: str | None) -> str:
    return "null" if text is None else literal(text)
