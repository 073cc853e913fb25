"""A head that is known from before is read as the parser would read it: with every body, and with every other byte."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops.api import tasks
from mlops.api.model_version import Capture
from mlops.api.pod_environment import ServerSettings
from mlops.workloads.serve.app import Application
from mlops.workloads.serve.budget import Budget
from mlops.workloads.serve.exchange import Exchange
from mlops.workloads.serve.failures import FailureLog
from mlops.workloads.serve.known_head import KnownHead
from mlops.workloads.serve.metrics import Metrics
from mlops.workloads.serve.request_ids import RequestIds
from mlops.workloads.serve.server import Server

LINE = b"POST /v2/models/weather/infer HTTP/1.1\r\n"


class Transport(asyncio.Transport):
    """Takes what is written, at once."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.is_closed = False

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    abort = close

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        """Nothing is read by itself."""

    def resume_reading(self) -> None:
        """Nothing is read by itself."""


class Answers:
    """Answers what is whole with 200, and notes what it was asked."""

    is_busy = False

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def handle(self, exchange: Exchange) -> None:
        exchange.route = exchange.route or "infer"
        exchange.request_id = b"1"
        if exchange.is_whole:
            fields = [one for one in exchange.headers if one[0] != b"content-length"]
            self.seen.append((exchange.method, exchange.path, fields, bytes(exchange.body), exchange.received))
            exchange.answer(200, b"{}")

    def end_turn(self) -> None:
        """Everything was answered."""


class Client:
    """One connection to a server of its own."""

    def __init__(self) -> None:
        self.answers, self.transport = Answers(), Transport()
        self.budget = Budget(1 << 20)
        self.server = Server(
            self.answers, ServerSettings(body_bytes=1000), self.budget, refused=lambda *_: None, ids=RequestIds()
        )
        self.connection = self.server.connection()
        self.connection.connection_made(self.transport)

    async def send(self, *pieces: bytes) -> None:
        """Send what arrives in so many pieces."""
        for piece in pieces:
            self.connection.data_received(piece)
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    def outcome(self) -> tuple[Any, ...]:
        """All that a client and the account of bytes can tell."""
        written = b"".join(self.transport.written).split(b"x-request-id: ")
        return self.answers.seen, [part.partition(b"\r\n")[2] for part in written], self.transport.is_closed


def request(body: bytes, fields: list[bytes], line: bytes = LINE, length: bytes | None = None) -> bytes:
    """A request with its length among the fields."""
    middle = len(fields) // 2
    stated = b"Content-Length: " + (b"%d" % len(body) if length is None else length)
    return line + b"".join(one + b"\r\n" for one in (*fields[:middle], stated, *fields[middle:])) + b"\r\n" + body


def knows(client: Client) -> bool:
    return client.connection._known is not None


FIELDS = st.lists(
    st.sampled_from(
        [b"Host: x", b"Accept: */*", b"Content-Type: application/json", b"X-Request-Id: a", b"Connection: keep-alive"]
    ),
    max_size=4,
    unique=True,
)
BODIES = st.binary(max_size=40) | st.just(b'{"a":1}\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc')


async def test_a_head_is_known_after_it_was_answered_and_its_budget_comes_back() -> None:
    """Also with a body of another length; what is in the way of it is read as before."""
    client = Client()
    for body in (b"[1]", b"[1,2]", b"[22]" * 30):
        await client.send(request(body, [b"Host: x"]))
    assert knows(client)
    assert [one[3] for one in client.answers.seen] == [b"[1]", b"[1,2]", b"[22]" * 30]
    assert client.budget.used == 0
    parser = client.connection._parser
    client.connection._parser = None
    await client.send(request(b"known", [b"Host: x"]))
    assert client.answers.seen[-1][3] == b"known", "the parser is not asked"
    client.connection._parser = parser
    await client.send(request(b"x" * 1001, [b"Host: x"]))
    assert client.answers.seen[-1][4] == 1001


async def test_a_head_that_waits_behind_another_request_is_not_taken_for_that_ones() -> None:
    """The first is worked on beyond its turn, and answered after the second has come, to another address."""
    client = Client()
    held: list[Exchange] = []
    answer_at_once = client.answers.handle
    client.answers.handle = held.append  # type: ignore[method-assign]
    await client.send(request(b"first", [b"Host: x"]))
    held[0].is_busy = True
    other = request(b"second", [b"Host: x"], b"POST /v2/models/weather/feedback HTTP/1.1\r\n")
    await client.send(other)
    client.answers.handle = answer_at_once  # type: ignore[method-assign]
    answer_at_once(held[0])
    held[0].finish()
    await asyncio.sleep(0.01)
    await client.send(other)
    paths = [one[1] for one in client.answers.seen]
    assert paths == ["/v2/models/weather/infer", *["/v2/models/weather/feedback"] * 2]


@pytest.mark.parametrize(
    "field", [b"Expect: 100-continue", b"X-Request-Id: mine", b"Transfer-Encoding: chunked", b"Connection: close"]
)
async def test_what_is_another_request_each_time_is_not_known(field: bytes) -> None:
    """Its bytes do not say all of it."""
    client = Client()
    await client.send(request(b"5\r\n12345\r\n0\r\n\r\n", [field]))
    assert not knows(client)


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
async def test_a_request_that_is_answered_by_its_head_is_not_known(method: bytes) -> None:
    """A health check with a body, which some clients send: the second would wait for a body's answer for ever."""
    client = Client()
    task = tasks.ServeTask(
        namespace="team", model_name="weather", version=3, stage="production", artifact="sha256:0", capture=Capture()
    )
    metrics = Metrics("weather", 3, "production", "sha256:0")
    application = Application(task, client.server.limits, metrics, RequestIds(), FailureLog())
    client.answers.handle = application.handle  # type: ignore[method-assign]
    for _ in range(3):
        await client.send(request(b"{}", [b"Host: x"], method + b" /v2/health/live HTTP/1.1\r\n"))
    assert [one.startswith(b"HTTP/1.1 200 OK") for one in client.transport.written] == [True] * 3
    assert client.budget.used == 0


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(fields=FIELDS, first=BODIES, second=BODIES, data=st.data())
def test_what_follows_a_known_head_is_answered_as_on_a_connection_that_knows_none(
    fields: list[bytes], first: bytes, second: bytes, data: st.DataObject
) -> None:
    """Whatever is changed in it, whatever it is cut into, whatever follows it."""
    text = request(second, fields)
    how = data.draw(st.sampled_from(["whole", "changed", "left out", "put in", "behind", "cut", "another length"]))
    at = data.draw(st.integers(0, len(text) - 1))
    octet = data.draw(st.sampled_from([b"\r", b"\n", b" ", b"0", b"9", b":", b"\t", b"a", b"\xff"]))
    pieces = [text]
    if how == "changed":
        pieces = [text[:at] + octet + text[at + 1 :]]
    elif how == "left out":
        pieces = [text[:at] + text[at + 1 :]]
    elif how == "put in":
        pieces = [text[:at] + octet + text[at:]]
    elif how == "behind":
        pieces = [text + data.draw(st.sampled_from([b"\r\n", b"G", text, request(b"", [])]))]
    elif how == "cut":
        pieces = [text[:at], text[at:]] if at else [text]
    elif how == "another length":
        length = data.draw(st.sampled_from([b"0", b"007", b"+1", b"", b" 3", b"3 ", b"99999999999999"]))
        pieces = [request(second, fields, length=length)]

    async def outcome(knowing: bool) -> tuple[Any, ...]:
        client = Client()
        await client.send(request(first, fields))
        if not knowing:
            client.connection._known = None
        await client.send(*pieces)
        held = client.budget.used
        client.connection.connection_lost(None)
        assert client.budget.used == 0
        return *client.outcome(), held > 0

    assert asyncio.run(outcome(knowing=True)) == asyncio.run(outcome(knowing=False))


def test_a_known_head_takes_nothing_that_is_longer_or_shorter() -> None:
    """Neither what is behind a body nor what is missing of it is anybody's request."""
    known = KnownHead(b"A: ", b"\r\n\r\n", 0, b"POST", "/", [], None, None)
    assert known.body_of(b"A: 3\r\n\r\nabc") == b"abc"
    assert known.body_of(b"A: 03\r\n\r\nabc") == b"abc"
    for wrong in (
        b"A: 3\r\n\r\nabcd",
        b"A: 3\r\n\r\nab",
        b"A: +3\r\n\r\nabc",
        b"A: \r\n\r\n",
        b"B: 3\r\n\r\nabc",
        b"A: 3",
    ):
        assert known.body_of(wrong) is None
