"""Where a request ends can be read in one way only: what could be read in two is refused, and nothing in a body is
ever taken for a request."""

from __future__ import annotations

import json
import random
import socket
import time
from pathlib import Path

import pytest

from tests.workloads.serve.models import rows
from tests.workloads.serve.servers import (
    Served,
    artifact_of,
    metric,
    request_of,
    resident_kilobytes,
    serving,
    task_of,
)
from tests.workloads.serve.test_bounds import BODY, HEAD, OWN, exchange, received, statuses, wait_for

LINE = b"POST /v2/models/weather/infer HTTP/1.1\r\n"
BEHIND = b"GET /v2 HTTP/1.0\r\n\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def sized(*lines: bytes) -> bytes:
    """A request with these header lines instead of the length."""
    return HEAD + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + BODY


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(sized(LENGTH.strip(), b"Transfer-Encoding: chunked"), id="length, then chunks"),
        pytest.param(sized(b"Transfer-Encoding: chunked", LENGTH.strip()), id="chunks, then length"),
        pytest.param(sized(LENGTH.strip(), LENGTH.strip()), id="the same length twice"),
        pytest.param(sized(b"Content-Length: %d, %d" % (len(BODY), len(BODY))), id="a list of lengths"),
        pytest.param(sized(b"Content-Length: +%d" % len(BODY)), id="a sign"),
        pytest.param(sized(b"Content-Length: 0x10"), id="a hexadecimal length"),
        pytest.param(sized(b"Content-Length: 1_0"), id="an underscore in it"),
        pytest.param(sized(b"Content-Length: 1 0"), id="a space in it"),
        pytest.param(sized(b"Content-Length:"), id="no length"),
        pytest.param(sized(b"Content-Length: 99999999999999999999999"), id="a length beyond 64 bits"),
        pytest.param(sized(b"Content-Length:\r\n %d" % len(BODY)), id="a folded length"),
        pytest.param(sized(b"X: a\r\n b", LENGTH.strip()), id="a folded line"),
        pytest.param(LINE + b" Host: x\r\n" + LENGTH + b"\r\n" + BODY, id="a space before the first name"),
        pytest.param(LINE.replace(b"\r", b"") + LENGTH + b"\r\n" + BODY, id="a line ends with LF"),
        pytest.param(HEAD + b"X: a\n" + LENGTH + b"\r\n" + BODY, id="a header ends with LF"),
        pytest.param(HEAD + LENGTH + b"\n" + BODY, id="the head ends with LF"),
        pytest.param(HEAD + b"X: a\r" + LENGTH + b"\r\n" + BODY, id="a bare CR"),
        pytest.param(sized(b"X: a\0b", LENGTH.strip()), id="a zero byte"),
        pytest.param(sized(b"X", LENGTH.strip()), id="no colon"),
        pytest.param(HEAD + b"Transfer-Encoding: identity\r\n\r\n" + CHUNKS, id="identity"),
        pytest.param(HEAD + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKS, id="another encoding"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n" + CHUNKS, id="chunks are not last"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n" + CHUNKS, id="two encodings"),
        pytest.param(HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + CHUNKS, id="a vertical tab"),
        pytest.param(HEAD + b"Transfer-Encoding : chunked\r\n\r\n" + CHUNKS, id="a space before the colon"),
        pytest.param(CHUNKED + CHUNKS.replace(b"\r\n", b"\n", 1), id="a size ends with LF"),
        pytest.param(CHUNKED + CHUNKS.replace(b"\r\n", b";\n", 1), id="an extension ends with LF"),
        pytest.param(CHUNKED + CHUNKS.replace(b"\r\n", b';a="\n"\r\n', 1), id="LF in an extension"),
        pytest.param(CHUNKED + b"0x" + CHUNKS, id="0x before a size"),
        pytest.param(CHUNKED + b"+" + CHUNKS, id="a sign before a size"),
        pytest.param(CHUNKED + b"10000000000000003\r\nabc\r\n0\r\n\r\n", id="a size beyond 64 bits"),
        pytest.param(CHUNKED + CHUNKS.replace(b"}\r\n0", b"}XX0"), id="no end of a chunk"),
        pytest.param(CHUNKED + CHUNKS.replace(b"}\r\n0", b"}\n0"), id="LF behind a chunk"),
        pytest.param(CHUNKED + CHUNKS[:-2] + LENGTH + b"\r\n", id="a length in the trailer"),
        pytest.param(HEAD.replace(b"1.1", b"2.0") + LENGTH + b"\r\n" + BODY, id="version 2.0 in plain text"),
        pytest.param(HEAD.replace(b"1.1", b"0.9") + LENGTH + b"\r\n" + BODY, id="version 0.9"),
        pytest.param(b"GET /v2\r\n\r\n", id="no version"),
        pytest.param(HEAD.replace(b"/infer", b"/in\xfffer") + LENGTH + b"\r\n" + BODY, id="a path beyond ASCII"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(server: Served, data: bytes) -> None:
    """One answer, 400, and the connection is closed: whatever follows is nobody's request."""
    answers = exchange(server, data + BEHIND)
    assert statuses(answers) == [400], answers
    assert b"connection: close" in answers.lower()


def test_an_encoded_slash_is_no_slash(server: Served) -> None:
    """A proxy that keeps a path from clients compares it with what it is sent."""
    for path, status in (
        ("/%76%32", 200),
        ("/-%2Fflush", 404),
        ("/v2%2fmodels/weather", 404),
        ("/v2/models/weather%2Finfer", 404),
        ("/v2/../-/flush", 404),
        ("//v2", 404),
        ("/v2%00", 404),
        ("/v2%FF", 404),
    ):
        assert server.ask("POST" if "flush" in path or "infer" in path else "GET", path)[0] == status, path


@pytest.mark.parametrize(
    ("head", "status"),
    [
        pytest.param(HEAD.replace(b"infer", b"other"), 404, id="no such address"),
        pytest.param(HEAD.replace(b"json", b"xml"), 415, id="another Content-Type"),
        pytest.param(HEAD.replace(b"POST", b"PUT"), 405, id="another method"),
        pytest.param(b"GET /v2 HTTP/1.1\r\nHost: x\r\n", 200, id="a body that is not asked for"),
    ],
)
def test_an_answer_before_the_body_ends_a_connection_that_expected_to_be_asked(
    server: Served, head: bytes, status: int
) -> None:
    """Its client may leave the body out now: what follows could be body or request, so it is neither."""
    asked = head + b"Expect: 100-continue\r\n" + LENGTH + b"\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(asked)
        answer = received(connection)
        assert statuses(answer) == [status]
        assert b"connection: close" in answer


def test_a_half_closed_pipeline_is_answered_as_far_as_it_is_whole(model: Path, tmp_path: Path) -> None:
    """Half a request behind others takes no answer from them, however late it is found to be half."""
    store = tmp_path / "store"
    with serving(tmp_path / "pod", store, task_of(artifact_of(store, model))) as served:
        large = json.dumps(request_of(rows(10_000))).encode()
        slow = HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(large), large)
        for half in (HEAD + LENGTH + b"\r\n" + BODY[:-5], HEAD + b"X-Half: ", b"GET /v2"):
            with socket.create_connection(("127.0.0.1", served.port), timeout=20) as connection:
                connection.sendall(slow + half)
                connection.shutdown(socket.SHUT_WR)
                assert statuses(received(connection)) == [200], half
        wait_for(lambda: metric(served, "mlops_in_flight_bytes") <= OWN)


# Streams of requests, of which some are made so that another reader may find other ends in them.

INNER = b"POST /v2/models/weather/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"
BESIDE = [
    b"Content-Length: 0",
    b"Content-Length: 7",
    b"Content-Length : 0",
    b"Content-Length\t: 0",
    b"Content-Length: 0\r",
    b"Content-Length: 0\n",
    b"\nContent-Length: 0",
    b"Content-Length:\x0b0",
    b"Content_Length: 0",
    b"X-Content-Length: 0",
    b"Transfer-Encoding: chunked",
    b"transfer-encoding: CHUNKED",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: chunked, x",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding:\x00chunked",
    b"Transfer-Encoding\r\n : chunked",
    b"Transfer_Encoding: chunked",
    b"X: y\r\n Transfer-Encoding: chunked",
    b"X: y\nTransfer-Encoding: chunked",
    b"X: y\rTransfer-Encoding: chunked",
    b"Connection: close",
    b"Connection: keep-alive, Transfer-Encoding",
    b"Connection: Content-Length",
    b"Connection: Upgrade\r\nUpgrade: h2c",
    b"Upgrade: h2c",
    b"Connection: Upgrade\r\nUpgrade: h2c, websocket",
    b"Expect: 100-continue",
    b"Expect: x, 100-continue",
    b"Host: y",
    b": 0",
    b" X: 0",
]
EXTENSIONS = [b"", b"", b"", b";a", b";a=1", b';a="1"', b";", b";\n", b" ", b"\t", b"\n", b";a\r", b";a=\r\n"]
LINE_ENDS = [b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"", b" \r\n"]


def inner(number: int) -> bytes:
    """A request that stands in the body of another one, so that its answer would tell."""
    body = json.dumps(request_of(rows(1), id=f"inner-{number}")).encode()
    return INNER % (len(body), body)


def one_of(chance: random.Random, number: int) -> bytes:
    """A request that carries another one in its JSON, and has something beside that could hide where it ends."""
    text = inner(number).decode()
    document = request_of(rows(1), id=f"outer-{number}", parameters={"note": "\r\n\r\n" + text})
    body = json.dumps(document).encode()
    if chance.random() < 0.5:
        # As it is on the wire, behind the JSON object: a body that is no JSON.
        body += b"\r\n0\r\n\r\n" + inner(number)
    lines = [b"Host: x", b"Content-Type: application/json"]
    if sized_body := chance.random() < 0.5:
        lines.append(b"Content-Length: %d" % len(body))
    else:
        lines.append(b"Transfer-Encoding: chunked")
        cut = chance.randint(1, len(body) - 1)
        body = b"".join(
            b"%x%s%s%s%s" % (len(part), chance.choice(EXTENSIONS), b"\r\n", part, b"\r\n")
            for part in (body[:cut], body[cut:])
        )
        body += b"0\r\n" + chance.choice([b"", b"", b"X: 1\r\n", b"Content-Length: 5\r\n"]) + b"\r\n"
    for _ in range(chance.choice([0, 1, 1, 2])):
        lines.insert(chance.randint(0, len(lines)), chance.choice(BESIDE))
    ends = [chance.choice(LINE_ENDS) if chance.random() < 0.05 else b"\r\n" for _ in lines]
    head = LINE + b"".join(line + end for line, end in zip(lines, ends, strict=True))
    assert sized_body or body
    return head + b"\r\n" + body


def ids_of(answers: bytes) -> list[str]:
    """The ids of the requests that got a prediction, in the order of the answers."""
    bodies = [part.partition(b"\r\n\r\n")[2] for part in answers.split(b"HTTP/1.1 ")[1:]]
    return [json.loads(body)["id"] for body in bodies if b'"outputs"' in body]


def sent(server: Served, chance: random.Random, data: bytes) -> bytes:
    """What comes back for these bytes, cut into segments anywhere; the server has to end it."""
    cuts = sorted(chance.randint(0, len(data)) for _ in range(chance.choice([0, 0, 1, 4])))
    with socket.create_connection(("127.0.0.1", server.port), timeout=25) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
                connection.sendall(data[start:end])
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it closed
        return received(connection)


@pytest.mark.parametrize(
    "count", [pytest.param(1_500, id="short"), pytest.param(40_000, id="full", marks=pytest.mark.long)]
)
@pytest.mark.timeout(3600)
def test_no_request_is_found_within_another(model: Path, tmp_path: Path, count: int) -> None:
    """Of streams of one to four requests, whose ends something beside them contradicts or hides: no answer is to a
    request in a body, answers are in order, none is a 5xx, no stream hangs, and good requests go on being answered
    with the same bytes."""
    store = tmp_path / "store"
    with serving(tmp_path / "pod", store, task_of(artifact_of(store, model)), MLOPS_REQUEST_SECONDS="5") as served:
        good = json.dumps(request_of(rows(1), id="good")).encode()
        want = served.ask("POST", "/v2/models/weather/infer", good)[2]
        before, answered, refused = 0, 0, 0
        for number in range(count):
            chance = random.Random(number)
            outers = list(range(number * 10, number * 10 + chance.randint(1, 4)))
            data = b"".join(one_of(chance, one) for one in outers)
            started = time.monotonic()
            answers = sent(served, chance, data)
            assert time.monotonic() - started < 20, (number, data)
            found = [int(one[-1]) for one in (identity.split("outer-") for identity in ids_of(answers))]
            assert found == sorted(set(found)), (number, data, answers)
            assert set(found) <= set(outers), (number, data, answers)
            assert set(statuses(answers)) <= {100, 200, 400, 408, 415, 431}, (number, data, answers)
            assert len([one for one in statuses(answers) if one != 100]) <= len(outers) + 1, (number, data, answers)
            answered += len(found)
            refused += 400 in statuses(answers)
            if number % 50 == 49:
                assert served.ask("POST", "/v2/models/weather/infer", good)[2] == want
            if number == count // 5:
                before = resident_kilobytes(served)
        print(f"\n{count} streams: {answered} answered, {refused} refused")
        assert answered > count / 10
        assert refused > count / 4
        assert resident_kilobytes(served) <= 1.2 * before
        wait_for(lambda: metric(served, "mlops_in_flight_bytes") <= OWN)
