"""The HTTP door against a server that misbehaves."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator

import pytest

from sqlsync.errors import ConfigError, OutcomeUnknown, SqlsyncError, Unreachable
from sqlsync.providers.http import HttpClient
from sqlsync.providers.messages import HttpRequest

from .conftest import DROP, Reply, Seen, loopback


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    async with HttpClient(read_seconds=0.5, max_body_bytes=1000) as client:
        yield client


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


async def failure(http: HttpClient, request: HttpRequest) -> SqlsyncError:
    with pytest.raises(SqlsyncError) as caught:
        await http.send(request)
    return caught.value


@pytest.mark.parametrize("changes", [True, False])
async def test_nobody_listens_means_nothing_was_sent(changes: bool, http: HttpClient) -> None:
    url = f"http://127.0.0.1:{free_port()}/x"
    error = await failure(http, HttpRequest("POST", url, body=b"{}", changes=changes))
    assert type(error) is Unreachable


BROKEN = {
    "no answer": DROP,
    "half a body": Reply(b'{"a": 1}', cut=3),
    "a body too large": Reply(b"x" * 2000),
    "broken gzip": Reply(b"no gzip", headers={"content-encoding": "gzip"}),
}


@pytest.mark.parametrize("reply", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize(("changes", "error"), [(True, OutcomeUnknown), (False, Unreachable)])
async def test_a_sent_write_without_a_whole_answer_is_unknown(
    reply: Reply, changes: bool, error: type[SqlsyncError], http: HttpClient
) -> None:
    async def answer(seen: Seen) -> Reply:
        return reply

    async with loopback(answer) as server:
        request = HttpRequest("POST", server.url, body=b"{}", changes=changes)
        assert type(await failure(http, request)) is error


async def test_an_answer_that_does_not_come_in_time_is_unknown(http: HttpClient) -> None:
    never = asyncio.Event()

    async def answer(seen: Seen) -> Reply:
        await never.wait()
        return Reply()

    async with loopback(answer) as server:
        request = HttpRequest("POST", server.url, body=b"{}", changes=True, timeout_seconds=0.05)
        assert type(await failure(http, request)) is OutcomeUnknown
        never.set()


async def test_a_redirect_is_an_answer_and_not_followed(http: HttpClient) -> None:
    async def answer(seen: Seen) -> Reply:
        return Reply(status=302, headers={"location": "/elsewhere"})

    async with loopback(answer) as server:
        request = HttpRequest("GET", server.url).with_header("authorization", "Bearer s3cret")
        assert (await http.send(request)).status == 302
        assert len(server.seen) == 1


async def test_packed_answers_are_unpacked_and_the_trace_is_kept(http: HttpClient) -> None:
    async def answer(seen: Seen) -> Reply:
        packed = gzip.compress(b'{"a":1}')
        return Reply(packed, headers={"content-encoding": "gzip", "Intuit_Tid": "1-abc"})

    async with loopback(answer) as server:
        response = await http.send(HttpRequest("GET", server.url))
        assert (response.body, response.trace_id) == (b'{"a":1}', "1-abc")


async def test_parameters_and_body_arrive_as_given(http: HttpClient) -> None:
    async def answer(seen: Seen) -> Reply:
        return Reply()

    async with loopback(answer) as server:
        await http.send(
            HttpRequest(
                "POST", f"{server.url}/v3/a%2Fb", (("query", "it's + & ünï"),), body=b"\x00\xff"
            )
        )
        [seen] = server.seen
        assert seen.path == "/v3/a%2Fb"
        assert seen.query == {"query": "it's + & ünï"}
        assert seen.body == b"\x00\xff"


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "nonsense", "http://"])
async def test_what_is_no_address_is_a_config_error(url: str, http: HttpClient) -> None:
    assert isinstance(await failure(http, HttpRequest("GET", url)), ConfigError)
