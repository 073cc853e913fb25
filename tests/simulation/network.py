"""What lies between an operator and the API server: requests that are late, lost, refused or answered wrongly."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from contextvars import Context
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from mlops.cluster.client import METADATA, Client
from mlops.cluster.heads import heads_of
from mlops.engine.cluster import Unavailable
from mlops.planning.plan import Key, Manifest
from tests.simulation.api_server.server import Answer, ApiServer
from tests.simulation.loop import Loop

# The longest way of a request to the server. A write that is given up after 4.5 s may not arrive later: between the
# end of a Lease and another's first write there is no more than that.
LONGEST_WAY = 2.0


@dataclass
class Weather:
    """How the network and the API server treat one process. Shares are of all its requests, seconds are virtual."""

    latency: float = 0.01
    # Never arrives; the caller waits until it gives up.
    lost: float = 0.0
    # Is carried out, and the answer never comes back.
    unanswered: float = 0.0
    # Answered by these instead of being carried out.
    refused: bool = False
    status: int = 0
    retry_after: float = 0.0
    # A list from a cache is this many changes old at most.
    stale: int = 0
    # Of a watch: the longest delay of an event, and the shares of events that are lost, doubled, out of order.
    watch_delay: float = 0.05
    events_lost: float = 0.0
    events_doubled: float = 0.0
    events_reordered: float = 0.0


_MESSAGES = {500: "etcdserver: leader changed", 503: "the server is currently unable to handle the request"}


class Network:
    """Carries the requests of every process to one server; the draws of what happens on the way are seeded."""

    def __init__(self, loop: Loop, server: ApiServer, random: Random) -> None:
        self._loop, self._server, self._random = loop, server, random
        self.requests = 0
        # At the end of the world nothing is carried any more.
        self.closed = False
        # Asked of each request of a process that arrives, whether it is carried out.
        self.arriving: Callable[[str, str, str, Manifest | None], bool] = lambda user, method, path, body: True

    def send(
        self, user: str, weather: Weather, method: str, url: str, body: Manifest | None, content_type: str
    ) -> asyncio.Future[Answer]:
        """Send a request; the future is resolved when and if its answer comes back."""
        future: asyncio.Future[Answer] = self._loop.create_future()
        random = self._random
        if self.closed:
            return future
        if weather.refused:
            self._later(weather.latency, _refuse, future)
            return future
        if random.random() < weather.lost:
            return future

        def arrive() -> None:
            answer = self._answer(user, weather, method, url, body, content_type)
            if answer is not None and random.random() >= weather.unanswered:
                self._later(self._way(weather), _resolve, future, answer)

        self._later(self._way(weather), arrive)
        return future

    def _way(self, weather: Weather) -> float:
        return min(LONGEST_WAY, weather.latency * (0.5 + self._random.random()))

    def _later(self, delay: float, callback: Callable[..., Any], *args: Any) -> None:
        # What is on its way belongs to nobody: it arrives also if its sender is dead by then.
        self._loop.call_later(delay, callback, *args, context=Context())

    def _answer(
        self, user: str, weather: Weather, method: str, url: str, body: Manifest | None, content_type: str
    ) -> Answer | None:
        self.requests += 1
        if weather.status:
            headers = {"Retry-After": f"{weather.retry_after:.0f}"} if weather.retry_after else {}
            return Answer(weather.status, {"message": _MESSAGES.get(weather.status, "no")}, headers)
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        as_of = None
        if query.get("resourceVersion") == "0" and weather.stale:
            as_of = max(1, self._server.version - self._random.randrange(weather.stale + 1))
        if not self.arriving(user, method, parts.path, body):
            return None
        return self._server.request(
            method, parts.path, query=query, body=body, content_type=content_type, user=user, as_of=as_of
        )


def _refuse(future: asyncio.Future[Answer]) -> None:
    if not future.done():
        future.set_exception(ConnectionRefusedError("connection refused"))


def _resolve(future: asyncio.Future[Answer], answer: Answer) -> None:
    if not future.done():
        future.set_result(answer)


class NoMetrics:
    """What a client and the lists count, for nobody."""

    def api_error(self, code: str) -> None:
        """A request failed."""

    def attempted(self, kind: str) -> None:
        """A list begins."""

    def heard(self, kind: str) -> None:
        """A watch or list was answered."""

    def event_lost(self, why: str) -> None:
        """An Event was not written."""

    def wrote(self, verb: str, kind: str) -> None:
        """A write was carried out."""

    def repaired(self, kind: str, count: int) -> None:
        """A list differed."""


class SimulatedClient(Client):
    """The operator's own client, on the simulated network: what an answer means is decided by its real code."""

    def __init__(self, network: Network, user: str, weather: Weather, *, seconds: float = 10.0) -> None:
        super().__init__(None, NoMetrics(), seconds=seconds)  # type: ignore[arg-type]
        self._network, self._user, self._weather, self._seconds = network, user, weather, seconds

    async def _send(
        self, key: Key, method: str, url: str, body: Manifest | None, content_type: str, accept: str
    ) -> tuple[int, Mapping[str, str], Manifest]:
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._network.send(self._user, self._weather, method, url, body, content_type)
        except (TimeoutError, OSError) as error:
            raise Unavailable(key, f"{method} got no answer: {error or type(error).__name__}") from error
        if accept == METADATA and answer.status < 300:
            return answer.status, answer.headers, heads_of(json.dumps(answer.body).encode())
        return answer.status, answer.headers, answer.body
