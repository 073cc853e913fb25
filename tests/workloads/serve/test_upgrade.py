"""A request that offers HTTP/2 over clear text is answered as HTTP/1.1, with its body, wherever its bytes are cut."""

from __future__ import annotations

import asyncio
import json
import random
import socket
from collections.abc import Sequence
from typing import Any

import pytest

from mlops.api.pod_environment import ServerLimits
from mlops.workloads.serve.budget import Budget
from mlops.workloads.serve.exchange import Exchange
from mlops.workloads.serve.request_ids import RequestIds
from mlops.workloads.serve.server import Server
from tests.workloads.serve.models import rows
from tests.workloads.serve.servers import Served, metric, request_of
from tests.workloads.serve.test_bounds import BODY, OWN, exchange, statuses, wait_for

# What the java.net.http.HttpClient of Java 17 sends before each body, by default and each time.
OFFER = b"Connection: Upgrade, HTTP2-Settings\r\n"
SETTINGS = b"HTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA\r\n"
JAVA = (
    b"POST /v2/models/weather/infer HTTP/1.1\r\n"
    + OFFER
    + b"%sHost: 127.0.0.1:8080\r\n"
    + SETTINGS
    + b"%sUpgrade: h2c\r\nUser-Agent: Java-http-client/17.0.15\r\nContent-Type: application/json\r\n\r\n%s"
)
SIZED = JAVA % (b"Content-Length: %d\r\n" % len(BODY), b"", BODY)
CHUNKED = JAVA % (b"", b"Transfer-encoding: chunked\r\n", b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY))
GET = b"GET /v2/models/weather HTTP/1.1\r\n" + OFFER + b"Content-Length: 0\r\nHost: x\r\nUpgrade: h2c\r\n\r\n"
LAST = b"GET /v2 HTTP/1.0\r\n\r\n"


def outputs(answers: bytes) -> list[Any]:
    """What the answers predict."""
    bodies = [part.partition(b"\r\n\r\n")[2] for part in answers.split(b"HTTP/1.1 ")[1:]]
    return [json.loads(body)["outputs"] for body in bodies if b'"data"' in body]


@pytest.mark.parametrize(
    "request_bytes", [pytest.param(SIZED, id="Content-Length"), pytest.param(CHUNKED, id="chunked")]
)
def test_what_java_sends_is_answered_and_the_connection_goes_on(server: Served, request_bytes: bytes) -> None:
    """Alone, in a pipeline and beside others; each answer is that of a plain client."""
    plain = server.infer(request_of(rows(1)))[1]["outputs"]
    answers = exchange(server, request_bytes + GET + request_bytes + LAST)
    assert statuses(answers) == [200, 200, 200, 200], answers
    assert outputs(answers) == [plain, plain]
    wait_for(lambda: metric(server, "mlops_in_flight_bytes") <= OWN)


def test_a_request_with_an_offer_may_come_byte_by_byte(server: Served) -> None:
    """Every byte is a segment of its own."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(SIZED)):
            connection.sendall(SIZED[at : at + 1])
        assert statuses(connection.recv(1 << 16)) == [200]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(GET + b"\x00\x01\r\n\r\n", 200, id="another protocol behind it"),
        pytest.param(GET + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 200, id="http/2 behind it"),
        pytest.param(GET.replace(b"h2c", b"websocket") + LAST, 200, id="a websocket, closed behind the answer"),
        pytest.param(SIZED.replace(b"h2c", b"websocket") + LAST, 400, id="a websocket by POST"),
        pytest.param(SIZED.replace(b"h2c", b"h2c\r\nUpgrade: websocket") + LAST, 400, id="two offers"),
        pytest.param(SIZED.replace(b"h2c", b"h2c, websocket") + LAST, 400, id="two offers in one"),
        pytest.param(b"CONNECT a:1 HTTP/1.1\r\n" + OFFER + b"Upgrade: h2c\r\n\r\n" + LAST, 400, id="connect"),
        pytest.param(CHUNKED.replace(b"chunked", b"gzip") + LAST, 400, id="an encoding without an end"),
        pytest.param(CHUNKED.replace(b"chunked", b"chunked\r\nContent-Length: 5") + LAST, 400, id="two ends"),
        pytest.param(SIZED.replace(b"Length:", b"Length: 1\r\nContent-Length:") + LAST, 400, id="two lengths"),
        pytest.param(CHUNKED.replace(b"\r\n0\r\n\r\n", b"\r\nZZ\r\n") + LAST, 400, id="no chunk"),
        pytest.param(SIZED.replace(b"Upgrade: h2c", b"Upgrade: h2c\r\nX: %s" % (b"x" * 17_000)), 431, id="large"),
        pytest.param(SIZED.replace(b"Upgrade: h2c", b"Upgrade: h2c" + b"\r\na: b" * 100), 431, id="many headers"),
        pytest.param(SIZED[:-5], 408, id="half a body"),
    ],
)
def test_an_offer_opens_no_way_past_the_bounds(server: Served, data: bytes, status: int) -> None:
    """Whoever has taken the connection for another protocol gets one answer at most, and it is closed."""
    answers = exchange(server, data)
    assert statuses(answers)[0] == status, answers
    assert set(statuses(answers)[1:]) <= {400}, answers
    wait_for(lambda: metric(server, "mlops_in_flight_bytes") <= OWN)


class Wire(asyncio.Transport):
    """A connection of which a test says where the segments end."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self._is_closing = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self._is_closing = True

    def abort(self) -> None:
        self._is_closing = True

    def is_closing(self) -> bool:
        return self._is_closing

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Echo:
    """Answers what was understood: method, address, own headers, body."""

    is_busy = False

    def handle(self, exchange: Exchange) -> None:
        if not exchange.is_whole:
            return
        own = [field for field in exchange.headers if field[0].startswith(b"x-")]
        said = (exchange.method.decode(), exchange.path, own, bytes(exchange.body))
        exchange.answer(200, repr(said).encode())

    def end_turn(self) -> None:
        pass


LIMITS = ServerLimits(head_bytes=1024)


async def answers_to(segments: Sequence[bytes]) -> bytes:
    """What comes back for these segments; all that was taken of the budget is given back."""
    budget = Budget(1 << 20)
    server = Server(Echo(), LIMITS, budget, refused=lambda *_: None, ids=RequestIds())
    protocol = server.connection()
    wire = Wire()
    protocol.connection_made(wire)
    for segment in segments:
        protocol.data_received(segment)
        await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0)
    protocol.connection_lost(None)
    assert budget.used == 0
    return wire.written


INNER = b"POST /inner HTTP/1.1\r\nContent-Length: 3\r\n" + OFFER + b"Upgrade: h2c\r\n\r\nabc"
BODIES = [b"", b"x", INNER, b"Upgrade: h2c\r\n\r\n", b"\r\n\r\n", b"0\r\n\r\n" + INNER]
ASKED = b" HTTP/1.1\r\nX-Empty:\r\n"


def of_many(chance: random.Random) -> tuple[bytes, bytes]:
    """Some requests in a row, the same without and with offers."""
    plain = offered = b""
    for number in range(chance.randint(1, 4)):
        body = chance.choice(BODIES)
        line = chance.choice([b"POST /%d", b"PUT /%d?a=b", b"GET /%d"]) % number + ASKED
        if chance.random() < 0.5:
            rest = b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        else:
            cut = chance.randint(0, len(body))
            pieces = b"".join(b"%x;e=1\r\n%s\r\n" % (len(part), part) for part in (body[:cut], body[cut:]) if part)
            trailer = chance.choice([b"", b"X-Checksum: 1\r\n", OFFER + b"Upgrade: h2c\r\n"])
            rest = b"Transfer-Encoding: chunked\r\n\r\n" + pieces + b"0\r\n" + trailer + b"\r\n"
        plain += line + rest
        offered += line + (OFFER + b"uPgrade: H2C\r\n" if chance.random() < 0.7 else b"") + rest
    return plain, offered


async def test_an_offer_changes_no_boundary_between_requests() -> None:
    """Bodies that look like requests, and trailers that look like offers: every answer is that without an offer."""
    for number in range(400):
        chance = random.Random(number)
        plain, offered = of_many(chance)
        cuts = sorted(chance.randint(0, len(offered)) for _ in range(chance.choice([0, 1, 5, 30])))
        segments = [offered[start:end] for start, end in zip([0, *cuts], [*cuts, len(offered)], strict=True)]
        expected = await answers_to([plain])
        assert statuses(expected) != []
        assert set(statuses(expected)) == {200}
        assert await answers_to([segment for segment in segments if segment]) == expected, (number, segments)


async def test_a_head_with_an_offer_may_be_cut_anywhere() -> None:
    """At each byte, for each form of a body, with a request before and another behind."""
    for one in (SIZED, CHUNKED, GET):
        data = GET + one + SIZED
        expected = await answers_to([data.replace(b"Upgrade: h2c\r\n", b"")])
        assert statuses(expected) == [200, 200, 200]
        for at in range(len(GET), len(GET + one) + 1):
            assert await answers_to([data[:at], data[at:]]) == expected, at


@pytest.mark.parametrize(("size", "status"), [(500, 200), (3000, 431)])
async def test_what_stands_around_a_body_is_counted_behind_an_offer_too(size: int, status: int) -> None:
    """The head that is parsed again is counted once, and a trailer as without an offer."""
    trailer = b"0\r\nX-Trailer: %s" % (b"t" * size)
    begun = CHUNKED.removesuffix(b"0\r\n\r\n")
    for segments in ([begun + trailer], [begun[:20], begun[20:] + trailer], [begun, trailer[:9], trailer[9:]]):
        assert statuses(await answers_to([*segments, b"\r\n\r\n"])) == [status], segments


@pytest.mark.parametrize("close", [b"HTTP/1.1\r\nConnection: close\r\n", b"HTTP/1.0\r\n"])
async def test_a_last_request_with_an_offer_is_answered_too(close: bytes) -> None:
    """The client says itself that it sends no other one; what follows is not listened to."""
    data = SIZED.replace(b"HTTP/1.1\r\n", close)
    for segments in ([data + GET], [data[:100], data[100:], GET]):
        answers = await answers_to(segments)
        assert statuses(answers) == [200]
        assert repr(BODY).encode() in answers


@pytest.mark.parametrize(("size", "status"), [(600, 200), (1024, 431)])
async def test_a_head_with_an_offer_has_the_room_of_any_other(size: int, status: int) -> None:
    """It is parsed twice, and counted once; a request before it does not matter."""
    long = GET.replace(b"Host: x", b"Host: x\r\nX-Long: " + b"x" * size)
    assert statuses(await answers_to([long])) == [status]
    assert statuses(await answers_to([GET + long])) == [200, 200][: 1 + (status == 200)]


async def test_a_flood_of_offers_is_a_pipeline_like_any_other() -> None:
    """Eight wait behind the one that is being answered; the rest is not listened to."""
    assert statuses(await answers_to([GET * 5000])) == [200] * 9
