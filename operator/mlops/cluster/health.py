"""/healthz, /readyz and /metrics, over plain HTTP, by a thread of their own.

A loop that is busy for a second, or waits for its turn on a busy node, must not look like one that is dead.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# What is wrong, in words; empty if nothing is. Asked by the thread of the probes.
HealthCheck = Callable[[], Sequence[str]]

# Metrics are of the program's own loop, which may be busy.
_METRICS_SECONDS = 8.0
_END_SECONDS = 2.0


@asynccontextmanager
async def serving(
    host: str, port: int, *, healthy: HealthCheck, ready: HealthCheck, metrics: Callable[[], bytes]
) -> AsyncIterator[int]:
    """Serve while the context lasts; yields the port (a free one if `port` is 0). Raises OSError if it is taken.

    `healthy` and `ready` are called by another thread, `metrics` by the loop that this runs on.
    """
    begun: Future[tuple[int, Callable[[], None]]] = Future()
    app = _application(healthy, ready, metrics, asyncio.get_running_loop())
    thread = threading.Thread(target=lambda: asyncio.run(_serve(app, host, port, begun)), name="probes", daemon=True)
    thread.start()
    bound, stop = await asyncio.wrap_future(begun)
    try:
        yield bound
    finally:
        stop()
        thread.join(_END_SECONDS)


async def _serve(app: web.Application, host: str, port: int, begun: Future[tuple[int, Callable[[], None]]]) -> None:
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        begun.set_exception(error)
    else:
        begun.set_result((int(runner.addresses[0][1]), lambda: _set(loop, stopping)))
        await stopping.wait()
    finally:
        await runner.cleanup()


def _set(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(event.set)


def _application(
    healthy: HealthCheck, ready: HealthCheck, metrics: Callable[[], bytes], main: asyncio.AbstractEventLoop
) -> web.Application:
    async def exposition(_: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(_METRICS_SECONDS):
                body = await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_called(metrics), main))
        except TimeoutError:
            return web.Response(text=f"the program was busy for {_METRICS_SECONDS:.0f} s\n", status=503)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/healthz", _probe(healthy))
    app.router.add_get("/readyz", _probe(ready))
    app.router.add_get("/metrics", exposition)
    return app


async def _called(metrics: Callable[[], bytes]) -> bytes:
    return metrics()


def _probe(check: HealthCheck) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def probe(_: web.Request) -> web.Response:
        problems = check()
        return web.Response(text="\n".join(problems or ["ok"]) + "\n", status=503 if problems else 200)

    return probe
