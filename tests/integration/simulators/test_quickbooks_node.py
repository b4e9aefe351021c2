"""The unmodified `node-quickbooks`, `intuit-oauth` (Node) and `quickbooks-node-promise`.

Only their addresses are redirected (see node_quickbooks.js, node_promise.js) to the simulated
QuickBooks. Runs where node finds them: `npm install node-quickbooks intuit-oauth
quickbooks-node-promise`, and NODE_PATH naming that node_modules.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from sqlsync.simulators.testing import simulator

SCRIPT = Path(__file__).with_name("node_quickbooks.js")
PROMISE = Path(__file__).with_name("node_promise.js")
SECONDS = 60
ISSUER = "https://oauth.platform.intuit.com/op/v1"  # the library takes id_tokens of no other


def node(*packages: str) -> str:
    """The node that has the packages, or a skip that says what is missing."""
    command = shutil.which("node")
    if command is None:
        pytest.skip("node is not installed")
    for package in packages:
        look = [command, "-e", f"require.resolve({package!r})"]
        if subprocess.run(look, capture_output=True, check=False, timeout=SECONDS).returncode:
            pytest.skip(f"{package} is not installed where node looks (NODE_PATH)")
    return command


def test_what_the_readmes_show_works() -> None:
    command = node("node-quickbooks", "intuit-oauth")
    with simulator(customers=20, invoices=60, issuer=ISSUER) as sim:
        given = [sim.base_url, sim.realm_id, sim.new_refresh_token()]
        done = subprocess.run(
            [command, str(SCRIPT), *given],
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout.splitlines()[-1])
        customers = sim.counts()["Customer"]
    assert found == {
        "rotated": True,
        "note": "My File",
        "byNote": 1,
        "email": "customer@example.com",
        "once": True,
        "pdf": "%PDF",
        "sent": "EmailSent",
        "file": ["photo.jpg", True],
        "accounts": 5,
        "everyone": customers,
        "count": customers,
        "dated": 5,
        "changes": 2,
        "batch": ["6240", "Vendor", "QueryResponse"],
        "voided": 0,
        "refusal": "610",
        "expires": 3600,
        "realm": given[1],
        "idToken": True,
        "user": "office@lakesidebikes.example",
        "company": "Lakeside Bicycle Works",
        "refreshed": True,
        "revoked": 200,
    }


def test_what_the_promising_library_shows_works() -> None:
    command = node("quickbooks-node-promise")
    with simulator(customers=20, invoices=25, auto_approve=True, issuer=ISSUER) as sim:
        done = subprocess.run(
            [command, str(PROMISE), sim.base_url],
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        **dict.fromkeys(("state", "rotated", "person", "preferences", "refused", "revoked"), True),
        "notes": "kept",
        "byName": 1,
        "like": 1,
        "ordered": 2,
        "all": 25,
        "pdf": "%PDF",
        "sent": "EmailSent",
        "file": "a.txt",
        "paid": 0,
        "open": 70,
        "voided": 0,
        "gone": "Deleted",
        "batch": "In a batch",
        "feed": 2,
        "report": "BalanceSheet",
        "tax": "Promised",
    }
