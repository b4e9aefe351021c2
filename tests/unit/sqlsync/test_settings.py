from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from sqlsync.errors import ConfigError
from sqlsync.settings import Address, load_settings, secret_key


@pytest.fixture(autouse=True)
def _empty_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("SQLSYNC_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def write(text: str, name: str = "sqlsync.toml") -> Path:
    path = Path(name)
    path.write_text(text)
    return path


def test_everything_has_a_default() -> None:
    settings = load_settings()
    assert settings.database_url is None
    assert str(settings.proxy.listen) == "127.0.0.1:6432"
    assert str(settings.web.listen) == "127.0.0.1:8787"
    assert settings.providers.quickbooks.environment == "simulator"
    assert settings.sync.poll_active_seconds <= 60


def test_the_file_in_the_current_directory_is_read_unless_another_is_named() -> None:
    write('[proxy]\nlisten = "127.0.0.1:7000"\n')
    other = write('[proxy]\nlisten = "127.0.0.1:7001"\n', "other.toml")
    assert load_settings().proxy.listen.port == 7000
    assert load_settings(other).proxy.listen.port == 7001


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    write('[proxy]\nlisten = "127.0.0.1:7000"\nprocesses = 2\n')
    monkeypatch.setenv("SQLSYNC_PROXY__LISTEN", "127.0.0.1:0")
    monkeypatch.setenv("SQLSYNC_PROVIDERS__QUICKBOOKS__CLIENT_SECRET", "geheim")
    settings = load_settings()
    assert settings.proxy.listen.port == 0
    assert settings.proxy.processes == 2
    assert settings.providers.quickbooks.client_secret is not None
    assert settings.providers.quickbooks.client_secret.get_secret_value() == "geheim"
    assert "geheim" not in repr(settings)


def test_relative_paths_of_a_file_start_at_the_file() -> None:
    Path("sub").mkdir()
    config = write('state_dir = "state"\n', "sub/sqlsync.toml")
    assert load_settings(config).state_dir == Path("sub/state")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[proxy]\nlitsen = 1\n", ["sqlsync.toml", "proxy.litsen", "no such setting", "listen"]),
        ("colour = 1\n", ["sqlsync.toml", "colour", "no such setting"]),
        ('[proxy]\nlisten = "nowhere"\n', ["sqlsync.toml", "proxy.listen", "HOST:PORT"]),
        ('[proxy]\nlisten = "h:70000"\n', ["proxy.listen", "65535"]),
        ('[proxy]\nlisten = "::1:5"\n', ["proxy.listen", "brackets"]),
        ("[proxy]\nlisten = 6432\n", ["proxy.listen"]),
        ("[proxy]\nprocesses = 0\n", ["proxy.processes", "greater"]),
        ('[proxy]\nprocesses = "many"\n', ["proxy.processes", "integer"]),
        ("proxy = 3\n", ["sqlsync.toml", "proxy"]),
        ('[providers.quickbooks]\nenvironment = "test"\n', ["environment", "sandbox"]),
        ('[web]\npublic_url = "example.org"\n', ["web.public_url", "https"]),
        ('[proxy]\ntls_cert = "x.pem"\n', ["tls_key"]),
        ('[proxy]\ntls_cert = "x.pem"\ntls_key = "y.pem"\n', ["x.pem", "cannot be read"]),
        ("[proxy]\ntls_required = true\n", ["tls_required", "tls_cert"]),
        ("[proxy\n", ["sqlsync.toml", "not valid TOML"]),
    ],
)
def test_a_fault_is_one_line_that_names_file_and_key(text: str, words: list[str]) -> None:
    write(text)
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert "\n" not in caught.value.message
    for word in words:
        assert word in caught.value.message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SQLSYNC_PROXY__LISTEN", "nowhere"),
        ("SQLSYNC_PROXY__LITSEN", "127.0.0.1:1"),
        ("SQLSYNC_DATABASE_ULR", "postgresql://x"),
        ("SQLSYNC_SYNC__WEBHOOKS", "perhaps"),
    ],
)
def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=name):
        load_settings()


def test_a_named_file_must_exist_and_be_text() -> None:
    with pytest.raises(ConfigError, match=r"missing\.toml: there is no such file"):
        load_settings(Path("missing.toml"))
    Path("binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"binary\.toml: is not UTF-8"):
        load_settings(Path("binary.toml"))
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(Path.cwd())


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:1", "127.0.0.1", 1), ("[::1]:65535", "::1", 65535), (":0", "0.0.0.0", 0)],
)
def test_an_address_reads_and_prints(text: str, host: str, port: int) -> None:
    address = Address.parse(text)
    assert (address.host, address.port) == (host, port)
    assert Address.parse(str(address)) == address


def test_the_secret_key_is_made_once_and_private(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings()
    keys: list[str] = []
    threads = [
        threading.Thread(target=lambda: keys.append(secret_key(settings).get_secret_value()))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1
    path = settings.state_dir / "secret.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in settings.state_dir.iterdir()] == ["secret.key"]
    monkeypatch.setenv("SQLSYNC_SECRET_KEY", "short")
    with pytest.raises(ConfigError, match="Fernet"):
        secret_key(load_settings())
