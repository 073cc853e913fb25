"""Bodies that come compressed or without a Content-Type: read as what they are, and never beyond the limit."""

from __future__ import annotations

import contextlib
import gzip
import json
import time
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops.workloads.serve.decompress import decompressed
from mlops.workloads.serve.errors import RequestError
from tests.workloads.serve.models import rows
from tests.workloads.serve.servers import Served, metric, request_of
from tests.workloads.serve.test_bounds import OWN

INFER = "/v2/models/weather/infer"


def bare(data: bytes) -> bytes:
    """Deflate without its frame, as some clients send it."""
    made = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return made.compress(data) + made.flush()


def in_members(data: bytes) -> bytes:
    """Gzip in three files, one after the other."""
    return b"".join(gzip.compress(part) for part in (data[:9], data[9:9], data[9:]))


FORMS = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("X-GZip", gzip.compress),
    "gzip in members": ("gzip", in_members),
    "deflate": ("deflate", zlib.compress),
    "deflate without frame": ("deflate", bare),
    "identity": ("identity", bytes),
}


@pytest.mark.parametrize(("coding", "compress"), FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("number", [1, 200])
def test_a_compressed_body_is_answered_as_it_is_uncompressed(
    server: Served, coding: str, compress: Callable[[bytes], bytes], number: int
) -> None:
    """Byte by byte; without a Content-Type too."""
    body = json.dumps(request_of(rows(number), id="x")).encode()
    status, _, plain = server.ask("POST", INFER, body)
    assert status == 200
    assert server.ask("POST", INFER, compress(body), {"Content-Encoding": coding})[::2] == (200, plain)


def test_binary_tensors_and_labels_may_be_compressed(server: Served) -> None:
    """The length of the JSON part is that of the JSON as it was before."""
    document = request_of(rows(1), id="x")
    raw = b"\x03" + bytes(7)
    document["inputs"][1].update(parameters={"binary_data_size": 8})
    del document["inputs"][1]["data"]
    head = json.dumps(document).encode()
    headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Encoding": "gzip"}
    assert server.ask("POST", INFER, gzip.compress(head + raw), headers)[0] == 200
    labels = b'{"labels": [{"id": "x", "label": "dry"}]}'
    path = "/v2/models/weather/feedback"
    assert server.ask("POST", path, zlib.compress(labels), {"Content-Encoding": "deflate"})[0] == 202


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "gzip, deflate", "gz\xefp"])
def test_another_coding_is_refused_with_those_that_are_taken(server: Served, coding: str) -> None:
    status, headers, body = server.ask("POST", INFER, b"x", {"Content-Encoding": coding})
    assert (status, headers["accept-encoding"]) == (415, "gzip, deflate")
    assert "send gzip, deflate, or the body uncompressed" in json.loads(body)["error"]


GOOD = gzip.compress(json.dumps(request_of(rows(1))).encode())


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        pytest.param("gzip", b"", id="empty"),
        pytest.param("gzip", b"{}", id="not compressed"),
        pytest.param("gzip", GOOD[:-1], id="cut"),
        pytest.param("gzip", GOOD[:40], id="half"),
        pytest.param("gzip", GOOD[:-5] + b"x" + GOOD[-4:], id="another checksum"),
        pytest.param("gzip", GOOD + b"more", id="more behind it"),
        pytest.param("gzip", gzip.compress(b"") * 65, id="many members"),
        pytest.param("deflate", GOOD, id="gzip as deflate"),
        pytest.param("deflate", zlib.compress(b"{}") * 2, id="deflate twice"),
    ],
)
def test_a_damaged_body_is_refused(server: Served, coding: str, body: bytes) -> None:
    status, _, answer = server.ask("POST", INFER, body, {"Content-Encoding": coding})
    assert status == 400
    assert json.loads(answer)["error"].startswith(f"the body is not what Content-Encoding: {coding} says")


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_bomb_is_refused_by_what_it_would_become(server: Served, coding: str) -> None:
    """100 MB of zeros in 100 kB: 413 within a second, and nothing is held afterwards."""
    compress = gzip.compress if coding == "gzip" else zlib.compress
    body = compress(bytes(100_000_000))
    assert len(body) < 200_000
    started = time.monotonic()
    status, _, answer = server.ask("POST", INFER, body, {"Content-Encoding": coding})
    assert time.monotonic() - started < 10
    assert status == 413
    assert "more than 200000 bytes, the limit, when it is decompressed" in json.loads(answer)["error"]
    assert metric(server, "mlops_in_flight_bytes") <= OWN


def test_a_bomb_takes_no_more_memory_than_the_limit() -> None:
    body = gzip.compress(bytes(50_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(RequestError) as refused:
            decompressed(b"gzip", body, 200_000, lambda _: True)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert refused.value.status == 413
    assert most < 1_000_000


def test_what_the_process_cannot_hold_is_not_read_on() -> None:
    """Each piece is asked for before it is kept."""
    asked: list[int] = []

    def takes(size: int) -> bool:
        asked.append(size)
        return len(asked) < 3

    assert decompressed(b"gzip", gzip.compress(bytes(10_000_000)), 1 << 30, takes) is None
    assert asked == [65536] * 3


@given(st.binary(max_size=2000), st.sampled_from([b"gzip", b"deflate"]))
def test_what_is_compressed_is_read_back(data: bytes, coding: bytes) -> None:
    compress = gzip.compress if coding == b"gzip" else zlib.compress
    assert decompressed(coding, compress(data * 100), 1 << 20, lambda _: True) == data * 100


@given(st.binary(max_size=300), st.sampled_from([b"gzip", b"deflate"]))
def test_whatever_is_sent_as_compressed_is_read_or_refused(data: bytes, coding: bytes) -> None:
    with contextlib.suppress(RequestError):
        decompressed(coding, data, 1 << 16, lambda _: True)
