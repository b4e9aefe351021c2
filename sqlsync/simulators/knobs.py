"""What can be set on the simulated services, in words: for `--help`, and read from a command line.

The options' names, defaults and meanings are taken from the modules that define them, so that
nothing is said twice. Nothing here starts a service.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import date
from importlib.resources import files
from typing import Any

from sqlsync.errors import ConfigError

_FIELD = re.compile(r"^    (\w+): ([^=]+?) = (.+?)(?:  # (.+))?$", re.M)
_GROUP = re.compile(r"^    # -- (.+?) -*$", re.M)
_PLAIN: dict[str, tuple[type, ...]] = {"bool": (bool,), "int": (int,), "float": (int, float)}
TROUBLE = """\
Scripted trouble: POST /_control/trouble, one rule or a list of rules
  {"kind": "drop",       "match": {"operation": "create", "entity": "invoice"}}
  kind   drop (a lost reply: carried out, then hung up; "when": "before" hangs up first),
         status (an error: "status": 500, 502, 503 …, "body"), slow ("seconds"),
         malformed (half a JSON object), throttle (429, the service's own words)
  times, skip   act on so many requests, after letting so many pass
  match  method, path (a part of it), entity, operation: create read update delete void query
         cdc batch send pdf upload download; QuickBooks: batch_item, one item of a batch; of the
         entity "token": refresh_token, authorization_code, revoke
Webhooks: POST /_control/webhooks {"url": …}, and for the next deliveries
  drop, duplicate, reverse (late and out of order), wrong_signature, foreign (of a company that
  is not connected): how many; delay_seconds before each
Tokens: POST /_control/tokens {"expire": true} | {"revoke": true} | {"grant": true}
Time: POST /_control/clock {"advance_seconds": n}
A person's change at the provider: POST /_control/books {"entity", "operation", "body"}
What was asked and done: GET /_control/requests, /_control/applied, /_control/books/{entity};
  whole requests, as they were sent, with --record FILE (or SQLSYNC_SIMULATE_RECORD=FILE)
Options: POST /_control/options {name: value}, or --option NAME=VALUE at the start
"""


def text() -> str:
    """All knobs, for a person."""
    parts = [TROUBLE]
    for title, package in (("QuickBooks", "quickbooks"), ("Xero", "xero")):
        parts.append(f"Options of the simulated {title}\n{_options(package)}")
    return "\n".join(parts)


def _source(package: str) -> str:
    return files(f"sqlsync.simulators.{package}").joinpath("options.py").read_text()


def _options(package: str) -> str:
    source = re.sub(r"\(\n\s+(.+?),?\n    \)$", _joined, _source(package), flags=re.M | re.S)
    lines: list[str] = []
    for line in source.splitlines():
        group, found = _GROUP.match(line), _FIELD.match(line)
        if group is not None:
            lines.append(f"  {group[1].strip()}:")
        elif found is not None:
            meaning = f"   {found[4]}" if found[4] else ""
            lines.append(f"    {found[1]} = {found[3]}{meaning}")
    return "\n".join(lines) + "\n"


def _joined(found: re.Match[str]) -> str:
    return "(" + " ".join(found[1].split()) + ")"


def read_options(pairs: Iterable[str]) -> Mapping[str, Any]:
    """`NAME=VALUE` of either service. Raises ConfigError for what is unknown or unreadable."""
    kinds: dict[str, str] = {}
    for package in ("quickbooks", "xero"):
        kinds |= {found[1]: found[2] for found in _FIELD.finditer(_source(package))}
        kinds |= dict(re.findall(r"^    (\w+): (tuple\[.+?\]) = \($", _source(package), re.M))
    options: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or name not in kinds:
            raise ConfigError(
                f"--option {pair}: no option of the simulated services is called {name!r}; "
                "`sqlsync simulate --help` lists them."
            )
        try:
            options[name] = _read(kinds[name], value)
        except ValueError:
            raise ConfigError(f"--option {pair}: {value!r} is no {kinds[name]}.") from None
    return options


def _read(kind: str, value: str) -> Any:
    if value == "null" and "None" in kind:
        return None
    if kind.startswith("date"):
        return date.fromisoformat(value)
    if kind.startswith("tuple"):
        words = [word.strip() for word in value.split(",") if word.strip()]
        return tuple(float(word) if "float" in kind else word for word in words)
    if kind.startswith("str"):
        return value
    found = json.loads(value)
    wanted = _PLAIN[kind.partition(" ")[0]]
    if not isinstance(found, wanted) or isinstance(found, bool) != (wanted == (bool,)):
        raise ValueError(value)
    return found
