"""The product as users have it: `sqlsync up` in processes of its own, a simulated company."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from sqlsync.app.connecting import connect_company
from sqlsync.app.databases import prepare
from sqlsync.cli.background import Background, background
from sqlsync.cli.supervisor import child_command
from sqlsync.embedded import EmbeddedPostgres
from sqlsync.settings import load_settings
from sqlsync.simulators.testing import Simulator, simulator_process
from sqlsync.simulators.testing_xero import XeroSimulator

VERIFIER = "acceptance-verifier"


@dataclass(frozen=True)
class Stack:
    """Where the parts are. `url` is a writer's, through the proxy; `direct` the superuser's."""

    url: str
    reader: str
    direct: str
    web: str
    simulator: Simulator
    environment: Mapping[str, str]
    services: Background

    def fresh(self, entity: str, record_id: str) -> dict[str, object]:
        record = self.simulator.record(entity, record_id)
        assert record is not None, f"{entity} {record_id} is not at the provider"
        return record


def command(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """A sqlsync command, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "sqlsync.cli", *arguments],
        env=environment,
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )


def engine_environment(
    url: str, state_dir: Path, simulator: Simulator, **settings: str
) -> dict[str, str]:
    return {
        **os.environ,
        "SQLSYNC_DATABASE_URL": url,
        "SQLSYNC_STATE_DIR": str(state_dir),
        "SQLSYNC_PROVIDERS__QUICKBOOKS__API_URL": simulator.base_url,
        "SQLSYNC_PROVIDERS__QUICKBOOKS__CLIENT_ID": simulator.client_id,
        "SQLSYNC_PROVIDERS__QUICKBOOKS__CLIENT_SECRET": simulator.client_secret,
        "SQLSYNC_PROVIDERS__QUICKBOOKS__WEBHOOK_VERIFIER_TOKEN": VERIFIER,
        "SQLSYNC_PROXY__LISTEN": "127.0.0.1:0",
        "SQLSYNC_WEB__LISTEN": "127.0.0.1:0",
        "SQLSYNC_LOG__LEVEL": "warning",
        **settings,
    }


def connect_companies(
    environment: Mapping[str, str], url: str, companies: Mapping[str, Simulator | XeroSimulator]
) -> None:
    """Connects the first company of each, and makes the tables, in this process: a command for
    each would take seconds. companies: by name, which is also the schema's.
    """
    with pytest.MonkeyPatch.context() as surroundings:
        for name, value in environment.items():
            surroundings.setenv(name, value)
        settings = load_settings()
    prepare(url)
    for name, company in companies.items():
        is_xero = isinstance(company, XeroSimulator)
        connect_company(
            settings,
            url,
            provider="xero" if is_xero else "quickbooks",
            name=name,
            schema_name=name,
            company_id=company.tenant_id if is_xero else company.realm_id,
            refresh_token=company.refresh_token,
        )


@contextmanager
def running_stack(
    server: EmbeddedPostgres, state_dir: Path, database: str, **settings: str
) -> Iterator[Stack]:
    with psycopg.connect(server.url(), autocommit=True) as admin:
        admin.execute(f'create database "{database}"')
    direct = server.url(database)
    with simulator_process(customers=30, invoices=60) as simulator:
        environment = engine_environment(direct, state_dir, simulator, **settings)
        for arguments in (
            ["migrate"],
            [
                *("connect", "quickbooks", "--name", "books", "--schema", "quickbooks"),
                *("--company", simulator.realm_id),
                *("--refresh-token", simulator.refresh_token),
            ],
        ):
            done = command(environment, *arguments)
            assert done.returncode == 0, done.stderr
        with background("up", child_command("up", None), environment) as services:
            done = command(environment, "backfill", "books")
            assert done.returncode == 0, done.stderr
            environment["SQLSYNC_PROXY__LISTEN"] = services.ready["proxy"]
            urls = {}
            for name, options in ((f"{database}_w", ["--write"]), (f"{database}_r", [])):
                done = command(environment, "user", "add", name, *options)
                assert done.returncode == 0, done.stderr
                urls[name] = done.stdout.strip()
            simulator.webhooks(f"http://{services.ready['web']}/webhooks/quickbooks", VERIFIER)
            yield Stack(
                urls[f"{database}_w"],
                urls[f"{database}_r"],
                direct,
                services.ready["web"],
                simulator,
                environment,
                services,
            )
