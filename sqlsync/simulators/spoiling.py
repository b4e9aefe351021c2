"""Carries out scripted trouble around a request, the same for every simulated service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from sqlsync.simulators.server import hang_up
from sqlsync.simulators.trouble import Seen, Trouble, Troubles


class HungUp(Response):
    """No answer: the connection is closed when this would be sent."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await hang_up(scope)


async def spoil(
    troubles: Troubles,
    seen: Seen,
    work: Callable[[], Response],
    answer: Callable[[Trouble], Response],
) -> tuple[Response, bool]:
    """The response, and whether `work` was carried out.

    answer: the service's own answer for trouble of kind malformed, throttle or status.
    """
    for rule in troubles.take("before", seen):
        response = await _act(rule, answer)
        if response is not None:
            return response, False
    response = work()
    for rule in troubles.take("after", seen):
        spoilt = await _act(rule, answer)
        if spoilt is not None:
            return spoilt, True
    return response, True


async def _act(rule: Trouble, answer: Callable[[Trouble], Response]) -> Response | None:
    if rule.kind == "slow":
        await asyncio.sleep(rule.seconds)
        return None
    if rule.kind == "drop":
        return HungUp(status_code=599)
    return answer(rule)
