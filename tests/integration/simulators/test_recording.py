"""Requests to simulated services are kept, and held against the vendors' files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import recorded
from recorded import Recorded

from sqlsync.errors import ConfigError
from sqlsync.simulators.recording import VARIABLE
from sqlsync.simulators.run import run_simulators
from sqlsync.simulators.testing import simulator_process
from sqlsync.simulators.testing_xero import xero_simulator

JSON = {"accept": "application/json", "content-type": "application/json"}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = tmp_path / "requests.jsonl"
    monkeypatch.setenv(VARIABLE, str(found))
    return found


def test_what_a_process_is_asked_is_kept_and_checked(file: Path) -> None:
    ours = {**JSON, "user-agent": "sqlsync", "authorization": "Bearer secret"}
    item = {"bId": "1", "operation": "create", "Bill": {"Lines": []}}
    with simulator_process(customers=1, invoices=0) as sim:
        path = f"/v3/company/{sim.realm_id}"
        for headers in (ours, {**ours, "user-agent": "somebody"}):
            sim.raw("POST", f"{path}/vendor?minorversion=75", b'{"Colour": "red"}', headers)
        sim.raw("POST", f"{path}/batch", json.dumps({"BatchItemRequest": [item]}).encode(), ours)
        sim.raw("GET", f"{path}/vendor/1", b"\xff", ours)
        kept = [json.loads(line) for line in file.read_text().splitlines()]
        assert kept[0] == {
            "method": "POST",
            "path": f"{path}/vendor",
            "query": "minorversion=75",
            "headers": kept[0]["headers"],
            "body": '{"Colour": "red"}',
            "status": 401,
        }
        assert kept[0]["headers"]["authorization"] == "Bearer"
        assert kept[3]["body_base64"] == "/w=="
        found = Recorded(file)
        wrong = ["Vendor: Vendor has no Colour", "Bill: Bill has no Lines"]
        assert found.problems() == (wrong if recorded.quickbooks_xsd.is_there() else [])
        assert found.problems() == []
        sim.raw("GET", "/_control")
        assert len(kept) == len(file.read_text().splitlines()) == 4


def test_xero_requests_are_held_against_its_own_file(file: Path) -> None:
    with xero_simulator(customers=1, invoices=0) as sim:
        sim.raw(
            "PUT",
            "/api.xro/2.0/Contacts",
            b'{"Contacts": [{"Nam": "A"}]}',
            {"user-agent": "sqlsync"},
        )
    found = Recorded(file).problems()
    if not recorded.xero_openapi.is_there():
        pytest.skip(f"NOT CHECKED: {recorded.xero_openapi.FILE} is missing")
    assert any("Contacts[].Nam is not known" in text for text in found), found
    assert any("would be answered in XML" in text for text in found), found


def test_a_file_that_cannot_be_written_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--record .*cannot be written"):
        run_simulators("127.0.0.1:0", 1, 0, record=str(tmp_path / "no" / "file"))
