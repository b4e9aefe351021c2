"""The unmodified Singer taps of QuickBooks and Xero against the simulated services.

Only their addresses are redirected. Each has pins of its own, so each is run as a program of an
environment of its own, where its command is found on PATH: `pipx install tap-quickbooks`,
`pipx install tap-xero`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sqlsync.simulators.testing import simulator
from sqlsync.simulators.testing_xero import xero_simulator

SECONDS = 100
# Sends what goes to the real addresses to one on this machine, and runs the tap as it is.
LAUNCHER = """
import json, sys
import requests
hosts, base = json.loads(sys.argv.pop(1)), sys.argv.pop(1)
send = requests.Session.send
def redirected(self, request, **more):
    for host in hosts:
        request.url = request.url.replace(host, base)
    return send(self, request, **more)
requests.Session.send = redirected
from {module} import main
main()
"""


class Tap:
    """One tap's program. hosts: the addresses that are redirected to base."""

    def __init__(self, name: str, hosts: list[str], base: str, folder: Path, **config: Any) -> None:
        command = shutil.which(name)
        if command is None:
            pytest.skip(f"{name} is not installed (as a command on PATH)")
        first = Path(command).read_text().splitlines()[0]
        self.python = first.removeprefix("#!").strip()
        self.launch = [LAUNCHER.format(module=name.replace("-", "_")), json.dumps(hosts), base]
        self.folder = folder
        self.path = folder / "config.json"
        self.path.write_text(json.dumps(config))

    def run(self, *arguments: str) -> str:
        command = [self.python, "-c", *self.launch, "--config", str(self.path), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def catalog(self) -> dict[str, Any]:
        """What the tap discovers, with every stream chosen."""
        found: dict[str, Any] = json.loads(self.run("--discover"))
        for stream in found["streams"]:
            for entry in stream["metadata"]:
                if not entry["breadcrumb"]:
                    entry["metadata"]["selected"] = True
        (self.folder / "catalog.json").write_text(json.dumps(found))
        return found

    def sync(self, state: Any = None) -> tuple[Counter[str], list[dict[str, Any]], Any]:
        """Records of each stream, all messages, and the state at the end."""
        arguments = ["--catalog", str(self.folder / "catalog.json")]
        if state is not None:
            (self.folder / "state.json").write_text(json.dumps(state))
            arguments += ["--state", str(self.folder / "state.json")]
        messages = [json.loads(line) for line in self.run(*arguments).splitlines()]
        records = Counter(m["stream"] for m in messages if m["type"] == "RECORD")
        states = [m["value"] for m in messages if m["type"] == "STATE"]
        return records, messages, states[-1]


LONG_AGO = f"{datetime.now(UTC) - timedelta(days=1500):%Y-%m-%dT00:00:00Z}"


def test_tap_quickbooks_reads_all_its_streams_and_then_only_what_changed(tmp_path: Path) -> None:
    # The tap asks for changes since its start date, however long ago that is.
    with simulator(customers=20, invoices=150, cdc_too_old_code=None) as sim:
        tap = Tap(
            "tap-quickbooks",
            ["https://quickbooks.api.intuit.com", "https://oauth.platform.intuit.com"],
            sim.base_url,
            tmp_path,
            start_date=LONG_AGO,
            user_agent="sqlsync tests",
            realm_id=sim.realm_id,
            client_id=sim.client_id,
            client_secret=sim.client_secret,
            refresh_token=sim.new_refresh_token(),
        )
        streams = {s["tap_stream_id"] for s in tap.catalog()["streams"]}
        records, messages, state = tap.sync()
        counts = sim.counts()
        assert records["customers"] == counts["Customer"]
        assert records["invoices"] == counts["Invoice"]
        assert set(records) >= streams - {"deleted_objects"}  # none was deleted
        invoices = {
            m["record"]["Id"]: m["record"]
            for m in messages
            if m["type"] == "RECORD" and m["stream"] == "invoices"
        }
        assert len(invoices) == counts["Invoice"]
        assert float(invoices["1"]["TotalAmt"]) == float(sim.record("Invoice", "1")["TotalAmt"])
        sim.advance(5)
        sim.person("Customer", "update", Id="3", Notes="called")
        again, messages, _ = tap.sync(state)
        assert again["customers"] < 3
        assert "called" in [m["record"].get("Notes") for m in messages if m["type"] == "RECORD"]


def test_tap_xero_reads_all_its_streams_and_then_only_what_changed(tmp_path: Path) -> None:
    with xero_simulator(customers=20, invoices=150) as sim:
        tap = Tap(
            "tap-xero",
            ["https://api.xero.com", "https://identity.xero.com"],
            sim.base_url,
            tmp_path,
            start_date=LONG_AGO,
            client_id=sim.client_id,
            client_secret=sim.client_secret,
            tenant_id=sim.tenant_id,
            refresh_token=sim.new_refresh_token(),
        )
        streams = {s["tap_stream_id"] for s in tap.catalog()["streams"]}
        records, messages, state = tap.sync()
        assert set(records) == streams - {"linked_transactions"}  # the organisation has none
        assert sim.records("linkedtransaction") == []
        kept = {
            m["record"]["InvoiceID"]
            for m in messages
            if m["type"] == "RECORD" and m["stream"] == "invoices"
        }
        assert kept == {i["InvoiceID"] for i in sim.records("invoice")}
        sim.advance(5)
        contact = next(iter(sim.records("contact")))
        sim.person("contact", "update", ContactID=contact["ContactID"], FirstName="Renamed")
        again, messages, _ = tap.sync(state)
        assert again["contacts"] < records["contacts"]
        assert "Renamed" in [
            m["record"].get("FirstName") for m in messages if m["type"] == "RECORD"
        ]
