"""The unmodified `xero-node` against the simulated Xero, only its addresses redirected.

Runs where node finds it: `npm install xero-node`, and NODE_PATH naming that node_modules.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from sqlsync.simulators.testing_xero import xero_simulator

SCRIPT = Path(__file__).with_name("node_xero.js")
READS = Path(__file__).with_name("node_xero_reads.js")
SECONDS = 60


def node() -> str:
    """The node that has xero-node, or a skip that says what is missing."""
    command = shutil.which("node")
    if command is None:
        pytest.skip("node is not installed")
    look = [command, "-e", "require.resolve('xero-node')"]
    if subprocess.run(look, capture_output=True, check=False, timeout=SECONDS).returncode:
        pytest.skip("xero-node is not installed where node looks (NODE_PATH)")
    return command


def test_what_the_readme_shows_works() -> None:
    command = node()
    with xero_simulator(customers=20, invoices=60, auto_approve=True) as sim:
        done = subprocess.run(
            [command, str(SCRIPT), sim.base_url],
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert "@" in found.pop("claims")[0]
    assert found == {
        "tenant": True,
        "contact": "Node Contact",
        "invoice": [23, True],
        "listed": 1,
        "file": 5,
        "report": "BalanceSheet",
        "twice": 400,
        "refreshed": True,
        "left": 0,
        "revoked": 0,
    }


def test_every_reading_method_answers_with_models() -> None:
    command = node()
    with xero_simulator(customers=20, invoices=60, broad_scopes=True) as sim:
        _, answer = sim.call("GET", "/Invoices", Statuses="AUTHORISED", page="1")
        due = next(one for one in answer["Invoices"] if one["AmountDue"] >= 1)
        paid = [{"Invoice": {"InvoiceID": due["InvoiceID"]}, "Amount": 1}]
        batch = {"Account": {"Code": "090"}, "Date": "2026-10-20", "Payments": paid}
        status, _ = sim.call("PUT", "/BatchPayments", {"BatchPayments": [batch]})
        assert status == 200
        bill = next(one for one in answer["Invoices"] if one["Type"] == "ACCPAY")
        line = bill["LineItems"][0]["LineItemID"]
        linked = {"SourceTransactionID": bill["InvoiceID"], "SourceLineItemID": line}
        assert sim.call("PUT", "/LinkedTransactions", linked)[0] == 200
        given = [sim.base_url, sim.tenant_id, sim.token()]
        done = subprocess.run(
            [command, str(READS), *given],
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["failed"], found["untried"]) == ({}, ["getReportFromId"])  # none is published
    assert found["answered"] >= 125
