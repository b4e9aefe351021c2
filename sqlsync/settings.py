"""What the user may set: `sqlsync.toml`, and the environment, which wins.

Every key stands here with its type and default. A wrong one stops the command with one line
that names the file (or variable), the key, and what to do.
"""

from __future__ import annotations

import base64
import os
import tempfile
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from sqlsync.errors import ConfigError

DEFAULT_FILE = "sqlsync.toml"
PREFIX = "SQLSYNC_"
# Variables with our prefix that are not settings: they steer set-up, not the engine.
NOT_SETTINGS = frozenset({"SQLSYNC_PG_BIN", "SQLSYNC_PROXY_MEMBER", "SQLSYNC_SIMULATE_RECORD"})


class Address(BaseModel):
    """HOST:PORT to listen on; port 0 means any free one."""

    model_config = ConfigDict(frozen=True)

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """From `127.0.0.1:6432`, `[::1]:6432`, `:6432` (all addresses). Raises ValueError."""
        host, separator, port = text.strip().rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise ValueError(f"{text!r} is not HOST:PORT (an IPv6 address stands in brackets)")
        if not separator or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ValueError(f"{text!r} is not HOST:PORT with a port from 0 to 65535")
        if any(c.isspace() or c == "/" for c in host):
            raise ValueError(f"{text!r} is not HOST:PORT")
        return cls(host=host or "0.0.0.0", port=int(port))  # noqa: S104 - asked for by ":PORT"

    @property
    def is_loopback(self) -> bool:
        return self.host in ("localhost", "::1") or self.host.startswith("127.")


def _address(value: object) -> object:
    return Address.parse(value) if isinstance(value, str) else value


def _http_url(value: object) -> object:
    if isinstance(value, str):
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{value!r} is not an http:// or https:// address")
        return value.rstrip("/")
    return value


Listen = Annotated[Address, NoDecode, BeforeValidator(_address)]
HttpUrl = Annotated[str, BeforeValidator(_http_url)]
Environment = Literal["production", "sandbox", "simulator"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProxySettings(_Section):
    """`[proxy]`: where psql and programs connect."""

    listen: Listen = Address(host="127.0.0.1", port=6432)
    processes: int = Field(default=1, ge=1, le=256)
    tls_cert: Path | None = None  # PEM, with its chain
    tls_key: Path | None = None
    tls_required: bool | None = None  # None: required where the listener is not loopback
    upstream: str | None = None  # HOST:PORT or directory of a unix socket; None: database_url's
    write_deadline_seconds: float = Field(default=30.0, gt=0)  # waiting for limits, then 53400
    write_row_limit: int = Field(default=1000, ge=1)  # rows one statement may change


class WebSettings(_Section):
    """`[web]`: webhooks, OAuth callback, console, /healthz, /metrics."""

    listen: Listen = Address(host="127.0.0.1", port=8787)
    public_url: HttpUrl | None = None  # as providers and browsers see it; None: http://listen


class SyncSettings(_Section):
    """`[sync]`: how the worker follows changes."""

    webhooks: bool = True  # False: deliveries are stored and left alone; polling goes on
    poll_active_seconds: float = Field(
        default=30.0, gt=0
    )  # where something changed within the hour
    child_tables: bool = True  # invoice_line and the like are kept
    histories: int = Field(default=4, ge=1, le=64)  # backfills at once in one worker process
    concurrency: int = Field(default=8, ge=1, le=256)  # other jobs at once in one worker process
    reports: bool = True  # False: reports are computed only when somebody asks
    report_hours: float = Field(default=24.0, gt=0, le=8760)  # how old one may become by itself
    report_after_change_minutes: float = Field(
        default=60.0, ge=0, le=525600
    )  # how old one may become where records changed since; 0: that makes no difference
    keep_writes_days: int = Field(default=90, ge=0)  # finished ones in _sync_write; 0: for ever
    keep_changes_days: int = Field(default=365, ge=0)  # rows of _sync_change; 0: for ever
    keep_reports_days: int = Field(default=400, ge=0)  # asked for once; 0: for ever


class _ProviderSettings(_Section):
    environment: Environment = "simulator"
    client_id: str | None = None
    client_secret: SecretStr | None = None
    api_url: HttpUrl | None = None
    authorize_url: HttpUrl | None = None
    token_url: HttpUrl | None = None
    revoke_url: HttpUrl | None = None


class QuickBooksSettings(_ProviderSettings):
    """`[providers.quickbooks]`: the app registered at Intuit."""

    webhook_verifier_token: SecretStr | None = None


class XeroSettings(_ProviderSettings):
    """`[providers.xero]`: the app registered at Xero."""

    webhook_key: SecretStr | None = None


class ProvidersSettings(_Section):
    quickbooks: QuickBooksSettings = QuickBooksSettings()
    xero: XeroSettings = XeroSettings()


class LogSettings(_Section):
    """`[log]`: what goes to stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"  # auto: console on a terminal


class Settings(BaseSettings):
    """All settings of one run. Made by `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        env_ignore_empty=True,
    )

    state_dir: Path = Path(".sqlsync")
    database_url: SecretStr | None = None  # None: an embedded Postgres under state_dir
    secret_key: SecretStr | None = None  # Fernet; several, newest first, with commas
    proxy: ProxySettings = ProxySettings()
    web: WebSettings = WebSettings()
    sync: SyncSettings = SyncSettings()
    providers: ProvidersSettings = ProvidersSettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (env_settings, init_settings)  # the environment wins over the file


def load_settings(config: Path | None = None) -> Settings:
    """Settings from the file and the environment. Raises ConfigError, one line.

    config: must exist; None: `./sqlsync.toml` where there is one. Paths in a file are relative
    to the file's directory.
    """
    path = Path(config) if config is not None else Path(DEFAULT_FILE)
    values: dict[str, Any] = {}
    if config is not None or path.exists():
        values = _read(path)
        _anchor(values, path.parent)
    _check_variables()
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise _explain(error.errors()[0], path) from None
    except SettingsError as error:  # a variable that should hold JSON and does not
        raise ConfigError(f"environment: {error}") from None
    _check_together(settings, path)
    return settings


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file.") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not valid TOML: {error}.") from None


def _anchor(values: dict[str, Any], directory: Path) -> None:
    """Makes the paths of a file relative to it."""
    for section, key in (("", "state_dir"), ("proxy", "tls_cert"), ("proxy", "tls_key")):
        table = values.get(section, {}) if section else values
        if isinstance(table, dict) and isinstance(table.get(key), str):
            table[key] = str(directory / table[key])


def _check_variables() -> None:
    """A misspelt variable would silently do nothing; pydantic sees only those it knows."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for name in os.environ:
        if not name.startswith(PREFIX) or name in NOT_SETTINGS:
            continue
        if name.split("__")[0] not in known:
            raise ConfigError(
                f"environment variable {name}: there is no such setting."
                f" Variables are named {PREFIX}KEY or {PREFIX}SECTION__KEY."
            )


_WORDS = {
    "extra_forbidden": "there is no such setting",
    "missing": "must be set",
}


def _explain(fault: Any, path: Path) -> ConfigError:
    location = [str(part) for part in fault["loc"]]
    variable = PREFIX + "__".join(location).upper()
    message = _WORDS.get(fault["type"]) or str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        known = _keys_beside(location)
        message += f"; known here: {', '.join(known)}" if known else ""
    if variable in os.environ:
        return ConfigError(f"environment variable {variable}: {message}.")
    return ConfigError(f"{path}: {'.'.join(location)}: {message}.")


def _keys_beside(location: list[str]) -> list[str]:
    model: type[BaseModel] = Settings
    for part in location[:-1]:
        inner = model.model_fields[part].annotation if part in model.model_fields else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return sorted(model.model_fields)


def _check_together(settings: Settings, path: Path) -> None:
    proxy = settings.proxy
    if (proxy.tls_cert is None) != (proxy.tls_key is None):
        raise ConfigError(f"{path}: proxy.tls_cert and proxy.tls_key must be set together.")
    for key, file in (("tls_cert", proxy.tls_cert), ("tls_key", proxy.tls_key)):
        if file is not None and not os.access(file, os.R_OK):
            raise ConfigError(f"{path}: proxy.{key}: {file} cannot be read.")
    if proxy.tls_required and proxy.tls_cert is None:
        raise ConfigError(f"{path}: proxy.tls_required needs proxy.tls_cert and proxy.tls_key.")


def secret_key(settings: Settings) -> SecretStr:
    """The Fernet key(s) that tokens are encrypted with, separated by commas, newest first.

    The setting, else `secret.key` under the state directory (mode 0600), made on first use.
    Raises ConfigError where a key is malformed or the file cannot be read.
    """
    if settings.secret_key is not None:
        return _checked_key(settings.secret_key.get_secret_value(), "secret_key")
    path = settings.state_dir / "secret.key"
    try:
        if not path.exists():
            settings.state_dir.mkdir(parents=True, exist_ok=True, mode=0o711)
            _write_once(path, base64.urlsafe_b64encode(os.urandom(32)).decode())
        return _checked_key(path.read_text(), str(path))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}.") from error


def _checked_key(text: str, where: str) -> SecretStr:
    keys = [key.strip() for key in text.split(",") if key.strip()]
    for key in keys:
        try:
            good = len(base64.b64decode(key, altchars=b"-_", validate=True)) == 32
        except ValueError:
            good = False
        if not good:
            raise ConfigError(f"{where}: a key is 32 bytes in URL-safe base64 (a Fernet key).")
    if not keys:
        raise ConfigError(f"{where}: holds no key.")
    return SecretStr(",".join(keys))


def _write_once(path: Path, text: str) -> None:
    """Writes a private file whole, unless another process has just done so."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".secret-")  # mode 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text + "\n")
        os.link(name, path)
    except FileExistsError:
        pass
    finally:
        Path(name).unlink()
