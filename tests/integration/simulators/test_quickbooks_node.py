"""The unmodified `node-quickbooks` and `intuit-oauth` (Node) against the simulated QuickBooks.

Only their addresses are redirected (see node_quickbooks.js). Runs where node finds both:
`npm install node-quickbooks intuit-oauth`, and NODE_PATH naming that node_modules.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from sqlsync.simulators.testing import simulator

SCRIPT = Path(__file__).with_name("node_quickbooks.js")
SECONDS = 60
ISSUER = "https://oauth.platform.intuit.com/op/v1"  # the library takes id_tokens of no other


def node() -> str:
    """The node that has both packages, or a skip that says what is missing."""
    command = shutil.which("node")
    if command is None:
        pytest.skip("node is not installed")
    for package in ("node-quickbooks", "intuit-oauth"):
        look = [command, "-e", f"require.resolve({package!r})"]
        if subprocess.run(look, capture_output=True, check=False, timeout=SECONDS).returncode:
            pytest.skip(f"{package} is not installed where node looks (NODE_PATH)")
    return command


def test_what_the_readmes_show_works() -> None:
    command = node()
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
