"""`_reports.toml` of a provider into report specs, with every fault named by its place.

The file has tables `parameter` and `column`, which reports name by their keys, and `choices`
for lists that several parameters share. Its vocabulary is in `schema/catalog/README`.
"""

from __future__ import annotations

from collections.abc import Mapping

from schema.model import ColumnType
from schema.naming import snake_case, table_name
from schema.reader import Reader
from schema.report_model import (
    ParameterKind,
    ParameterSpec,
    ReportColumnSpec,
    ReportSpec,
    Role,
)

_FORMS = ("rows", "contacts", "list")

# The columns of sqlsync.report_row (migration 0006_reports), which every report's table has.
COMMON_COLUMNS = (
    *("run_id", "row_number", "period_start", "period_end", "accounting_method", "currency"),
    *("as_of", "parameters", "section", "section_ids", "depth", "row_type", "row_group"),
    *("label", "label_id", "cells", "raw"),
)


def read_reports(provider: str, reader: Reader) -> tuple[ReportSpec, ...]:
    """The reports of the file, in its order; faults go to the reader."""
    shared = {
        name: chosen.texts(name, empty=False)
        for chosen in [reader.table("choices")]
        for name in list(chosen.data)
    }
    parameters = {
        key: _parameter(key, one, shared) for key, one in reader.named("parameter").items()
    }
    columns = {key: _column(key, one) for key, one in reader.named("column").items()}
    reports = tuple(_report(provider, r, parameters, columns) for r in reader.tables("report"))
    reader.unique("report", (r.name for r in reports))
    reader.close()
    return reports


def _parameter(key: str, reader: Reader, shared: Mapping[str, tuple[str, ...]]) -> ParameterSpec:
    choices: tuple[str, ...] = ()
    if isinstance(reader.data.get("choices"), str):
        choices = shared.get(reader.one_of("choices", sorted(shared)), ())
    elif "choices" in reader.data:
        choices = reader.texts("choices", empty=False)
    kind = reader.member("kind", ParameterKind)
    if (kind is ParameterKind.CHOICE) is not bool(choices):
        reader.fault("choices", "belong to kind choice, and to no other")
    api_name = reader.text("api", default=None) or key
    spec = ParameterSpec(
        name=snake_case(api_name),
        api_name=api_name,
        kind=kind,
        comment=reader.text("comment"),
        role=reader.member("role", Role) if "role" in reader.data else None,
        choices=choices,
        references=reader.name("references", default=None),
        most=reader.integer("most", default=None),
    )
    reader.close()
    return spec


def _column(key: str, reader: Reader) -> ReportColumnSpec:
    spec = ReportColumnSpec(
        key=key,
        comment=reader.text("comment"),
        column=reader.name("column", default=None),
        type=reader.member("type", ColumnType, default=ColumnType.TEXT),
        id_column=reader.name("id", default=None),
        titles=reader.texts("titles"),
        place=reader.integer("place", default=None),
        attribute=reader.text("attribute", default=None),
    )
    for name, _, _ in spec.table_columns:
        if name in COMMON_COLUMNS:
            reader.fault("column", f"{name!r} is a column of every report")
    if not spec.table_columns:
        reader.fault("column", "there is neither column nor id")
    reader.close()
    return spec


def _report(
    provider: str,
    reader: Reader,
    parameters: Mapping[str, ParameterSpec],
    columns: Mapping[str, ReportColumnSpec],
) -> ReportSpec:
    name = reader.text("name")
    reader.where = f"report[{name}]"
    taken = [
        parameters[key] for key in reader.texts("parameters", among=parameters) if key in parameters
    ]
    shown = [columns[key] for key in reader.texts("columns", among=columns) if key in columns]
    keys = {p.name for p in taken}
    reader.unique("parameters", (p.name for p in taken))
    required = [snake_case(key) for key in reader.texts("required")]
    default = {snake_case(k): v for k, v in reader.take("default", dict, {}).items()}
    for key in (*required, *default):
        if key not in keys:
            reader.fault("parameters", f"{key!r} is not among them")
    reader.unique("columns", (c[0] for column in shown for c in column.table_columns))
    spec = ReportSpec(
        provider=provider,
        name=name,
        table=table_name(name),
        endpoint=reader.take("endpoint", str, "") or "",
        comment=reader.text("comment"),
        parameters=tuple(taken),
        columns=tuple(shown),
        required=frozenset(required),
        default=default,
        scheduled=reader.boolean("scheduled", default=True),
        form=reader.one_of("form", _FORMS, default="rows"),
        scope=reader.text("scope", default=None),
    )
    if spec.scheduled and required:
        reader.fault("scheduled", "a report with required parameters is asked for by people")
    reader.close()
    return spec
