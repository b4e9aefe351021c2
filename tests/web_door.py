"""The product's web door in this process, for tests in which a provider sends webhooks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlsync.console.web import Verifier, Web, run_web
from sqlsync.database import engine_pool


class NoConsents:
    """Nobody consents here."""

    async def begin(self, provider: str, name: str) -> str:
        return ""

    async def finish(self, provider: str, answer: Any) -> Any:
        return ""

    async def choose(self, provider: str, state: str, company_id: str) -> Any:
        return ""


@asynccontextmanager
async def web_door(url: str, provider: str, verifier: Verifier) -> AsyncIterator[str]:
    """Takes the provider's deliveries while the block runs. Gives where."""
    stopping, ready = asyncio.Event(), asyncio.Queue[str]()
    async with engine_pool(url) as pool:
        serving = asyncio.create_task(
            run_web(
                Web(pool, {provider: verifier}, NoConsents()),
                "127.0.0.1",
                0,
                stopping=stopping,
                on_ready=lambda host, port: ready.put_nowait(f"http://{host}:{port}"),
            )
        )
        try:
            address = await asyncio.wait_for(ready.get(), 10)
            yield f"{address}/webhooks/{provider}"
        finally:
            stopping.set()
            await serving
