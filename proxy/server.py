"""The proxy as a running service: bind, let clients in, stop gracefully.

`serve_proxy` runs one process until `stop` is set: then no client is let in any more,
sessions with a write in flight finish it, the others are told (FATAL 57P01). What a
session does is none of its business; `make_client` brings that.

Source of the stop: PostgreSQL documentation, "Shutting Down the Server" (fast).
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import resource
import signal
import socket
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from proxy.cancel import CancelRegistry
from proxy.door import ClientFactory, Door, DoorLimits
from proxy.processes import Member
from proxy.tls import TlsFiles, server_context
from proxy.upstream import Upstream
from sqlsync.errors import ConfigError

DRAIN_SECONDS = 60.0  # a write waits for its provider at most this long after a stop

GOODBYE_SECONDS = 10.0  # a client that does not read its last words is given up after this

T = TypeVar("T")
OnReady = Callable[[str, int], None]

log = logging.getLogger(__name__)


async def serve_proxy(
    host: str,
    port: int,
    upstream: Upstream,
    make_client: ClientFactory,
    *,
    stop: asyncio.Event,
    tls: TlsFiles | None = None,
    tls_required: bool | None = None,
    limits: DoorLimits | None = None,
    on_ready: OnReady | None = None,
    member: Member | None = None,
    drain_seconds: float = DRAIN_SECONDS,
) -> None:
    """Serves until `stop` is set. Raises ConfigError (address, certificate) before that.

    port: 0 takes a free one, which `on_ready(host, port)` is told. tls_required: None is
    yes where a certificate is set and the listener is not loopback. member: set in a
    process that shares its listener with others (`proxy.processes`).
    """
    context = server_context(tls) if tls else None
    if tls_required is None:
        tls_required = tls is not None and not is_loopback(host)
    if tls_required and context is None:
        raise ConfigError("TLS is required of clients, and proxy.tls_cert is not set")
    raise_descriptor_limit()
    registry = CancelRegistry(upstream, member.siblings if member else None)
    sockets = bind(host, port, reuse_port=member is not None)
    bound_port = sockets[0].getsockname()[1]
    door = Door(
        sockets, make_client, registry, tls=context, tls_required=tls_required, limits=limits
    )
    await registry.open()
    door.open()
    reload = _reload_on_hangup(door, tls)
    try:
        if on_ready is not None:
            on_ready(host, bound_port)
        if member is not None:
            member.watch(stop)
        await stop.wait()
    finally:
        reload()
        await door.close()
        await _drain(registry, drain_seconds)
        await registry.close()


def bind(host: str, port: int, *, reuse_port: bool = False) -> list[socket.socket]:
    """Returns bound sockets for every address of `host`, all on one port, none listening.

    host: a name, an address, or `*` for all. Raises ConfigError.
    """
    sockets: list[socket.socket] = []
    try:
        addresses = socket.getaddrinfo(
            None if host == "*" else host,
            port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )
        for family, kind, number, _, address in dict.fromkeys(addresses):
            sock = socket.socket(family, kind, number)
            sockets.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if reuse_port:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # Where a free port was asked for, all addresses share the first one's.
            port = port or sockets[0].getsockname()[1]
            sock.bind((address[0], port, *address[2:]))
    except OSError as error:
        for sock in sockets:
            sock.close()
        reason = error.strerror or str(error)
        raise ConfigError(f"proxy.listen {host}:{port} cannot be used: {reason}") from error
    return sockets


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener on `host`. Unknown names: no."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def raise_descriptor_limit() -> None:
    """A session takes two descriptors; the usual soft limit of 1,024 is soon used up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):  # macOS reports a limit that it does not grant
            log.info("the limit of open files stays at %d", soft)


def stop_on_signals(stop: asyncio.Event) -> None:
    """SIGTERM and SIGINT set `stop`; for a command whose whole work is the proxy."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Runs `main` on uvloop, or on asyncio's own loop where uvloop is not installed."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main)


async def _drain(registry: CancelRegistry, seconds: float) -> None:
    for session in registry:
        session.shut_down()
    try:
        async with asyncio.timeout(seconds):
            try:
                await asyncio.wait_for(registry.emptied(), GOODBYE_SECONDS)
            except TimeoutError:
                for session in registry:
                    session.give_up()
            await registry.emptied()
    except TimeoutError:
        log.error("%d sessions did not end in time", len(registry))


def _reload_on_hangup(door: Door, tls: TlsFiles | None) -> Callable[[], None]:
    """SIGHUP takes up a renewed certificate; returns what undoes that.

    On a terminal it keeps its meaning: the window was closed, so the program ends.
    """
    if os.isatty(0):
        return lambda: None

    def reload() -> None:
        if tls is None:
            log.info("there is no certificate to reload")
            return
        try:
            door.tls = server_context(tls)
        except ConfigError as error:
            log.error("the certificate in use is kept: %s", error)
        else:
            log.info("certificate reloaded from %s", tls.certificate)

    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(signal.SIGHUP, reload)
    except (ValueError, RuntimeError):  # not the main thread: signals are not ours
        return lambda: None

    def undo() -> None:
        loop.remove_signal_handler(signal.SIGHUP)

    return undo
