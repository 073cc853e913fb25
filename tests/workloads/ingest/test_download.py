"""A file from a web server: never from an address that the public cannot reach."""

from __future__ import annotations

import hashlib
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from random import Random
from typing import ClassVar

import pytest
from pydantic import ValidationError

from mlops.api.dataset import HttpSource
from mlops.workloads.floor.pod import BadInput, PassingFault
from mlops.workloads.ingest import download
from mlops.workloads.ingest.download import Policy, http_file
from tests.workloads.ingest.conftest import Desk, a_frame, a_spec

BODY = a_frame().write_csv().encode()
SHA = hashlib.sha256(BODY).hexdigest()
LOOPBACK = {"MLOPS_HTTP_ALLOWED_NETWORKS": "127.0.0.0/8"}


class _Handler(BaseHTTPRequestHandler):
    seen: ClassVar[list[tuple[str, str]]] = []

    def do_GET(self) -> None:
        _Handler.seen.append((self.path, self.headers["Host"]))
        kind, _, value = self.path.strip("/").partition("/")
        if kind == "file":
            self._send(200, BODY)
        elif kind == "status":
            self._send(int(value), b"")
        elif kind == "to":
            self._send(302, b"", urllib.parse.unquote(value))
        elif kind == "hop":
            left = int(value)
            self._send(307, b"", f"/hop/{left - 1}" if left > 1 else "/file")
        elif kind == "cut":
            self.send_response(200)
            self.send_header("Content-Length", str(len(BODY)))
            self.end_headers()
            self.wfile.write(BODY[:50])
        elif kind == "drip":
            self._drip(value)

    def _drip(self, where: str) -> None:
        """Send one byte after the other without end: in the head, in a body of known or unknown length, in chunks."""
        head = b"HTTP/1.1 200 OK\r\n"
        starts = {
            "head": head + b"X-Slow: ",
            "length": head + b"Content-Length: 1000000\r\n\r\n",
            "close": head + b"Connection: close\r\n\r\n",
            "chunks": head + b"Transfer-Encoding: chunked\r\n\r\nfffff\r\n",
            "size": head + b"Transfer-Encoding: chunked\r\n\r\n",
            "silence": b"",
        }
        try:
            self.wfile.write(starts[where])
            for _ in range(1000):
                if where != "silence":
                    self.wfile.write(b"0")
                time.sleep(0.02)
        except OSError:
            self.close_connection = True

    def _send(self, status: int, body: bytes, location: str = "") -> None:
        self.send_response(status)
        if location:
            # As the bytes of UTF-8, which is what servers send that know no better.
            self.send_header("Location", location.encode("utf-8", "surrogatepass").decode("latin-1"))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    _Handler.seen.clear()
    running = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()
    thread.join()


def _source(url: str, sha256: str = SHA) -> HttpSource:
    return HttpSource(url=url, sha256=sha256)


@pytest.mark.parametrize(
    "host",
    [
        pytest.param("127.0.0.1", id="loopback"),
        pytest.param("127.1", id="short loopback"),
        pytest.param("0x7f000001", id="hexadecimal"),
        pytest.param("2130706433", id="one number"),
        pytest.param("0177.0.0.1", id="octal"),
        pytest.param("0.0.0.0", id="this host"),
        pytest.param("localhost", id="name of loopback"),
        pytest.param("localhost.", id="name of loopback with a dot"),
        pytest.param("169.254.169.254", id="metadata service"),
        pytest.param("100.100.100.200", id="metadata service in shared space"),
        pytest.param("168.63.129.16", id="host agent of a cloud"),
        pytest.param("10.0.0.1", id="private 10"),
        pytest.param("172.16.0.1", id="private 172"),
        pytest.param("192.168.1.1", id="private 192"),
        pytest.param("100.64.0.1", id="carrier-grade NAT"),
        pytest.param("224.0.0.1", id="multicast"),
        pytest.param("255.255.255.255", id="broadcast"),
        pytest.param("[::1]", id="loopback 6"),
        pytest.param("[::]", id="this host 6"),
        pytest.param("[fe80::1]", id="link-local 6"),
        pytest.param("[fd00:ec2::254]", id="metadata service 6"),
        pytest.param("[ff02::1]", id="multicast 6"),
        pytest.param("[::ffff:127.0.0.1]", id="mapped loopback"),
        pytest.param("[::ffff:a9fe:a9fe]", id="mapped metadata"),
        pytest.param("[::127.0.0.1]", id="compatible loopback"),
        pytest.param("[64:ff9b::7f00:1]", id="translated loopback"),
        pytest.param("[2002:7f00:1::]", id="tunnelled loopback"),
    ],
)
def test_an_address_that_is_not_public_is_forbidden(host: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        list(http_file(_source(f"http://{host}/x"), {}, tmp_path))
    assert caught.value.reason == "AddressForbidden"
    assert "which is not public" in caught.value.message


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "::ffff:93.184.215.14"])
def test_public_addresses_are_permitted(address: str) -> None:
    assert Policy().permits(ip_address(address))


def test_one_bad_address_of_many_is_enough(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"leads to 10\.1\.2\.3, which is not public"):
        list(http_file(_source("http://two.example/x"), {}, tmp_path, lambda *_: ["93.184.215.14", "10.1.2.3"]))


def test_a_name_is_resolved_once_so_that_a_second_answer_leads_nowhere(server: str, tmp_path: Path) -> None:
    """DNS rebinding: the first answer is judged, and the connection goes to just that one."""
    port = server.rpartition(":")[2]
    answers = iter([["127.0.0.1"]])
    asked: list[str] = []

    def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        return next(answers)

    list(http_file(_source(f"http://rebound.example:{port}/file"), LOOPBACK, tmp_path, resolver))
    assert asked == ["rebound.example"]
    assert _Handler.seen == [("/file", f"rebound.example:{port}")]


def test_an_allowed_network_is_reached_and_the_rows_become_a_version(server: str, desk: Desk) -> None:
    spec = a_spec(source={"http": {"url": f"{server}/file", "sha256": SHA}})
    assert desk.ingest(spec, environ=LOOPBACK).rows == 40


def test_five_redirects_are_followed_and_six_are_not(server: str, tmp_path: Path) -> None:
    assert len(list(http_file(_source(f"{server}/hop/5"), LOOPBACK, tmp_path))) == 1
    with pytest.raises(BadInput, match="more than 5 redirects"):
        list(http_file(_source(f"{server}/hop/6"), LOOPBACK, tmp_path))


@pytest.mark.parametrize(
    ("location", "says"),
    [
        pytest.param("http://169.254.169.254/latest/meta-data", "leads to 169.254.169.254", id="to metadata"),
        pytest.param("file:///etc/passwd", "has the scheme 'file'", id="to a file"),
        pytest.param("gopher://127.0.0.1/", "has the scheme 'gopher'", id="to gopher"),
        pytest.param("http://user@127.0.0.1/", "has user information", id="with a user"),
        pytest.param("http://127.0.0.1:99999/", "is no URL", id="to no port"),
        pytest.param("http://[::1", "is no URL", id="to an open bracket"),
        pytest.param("http://]/", "is no URL", id="to a closed bracket"),
        pytest.param("//[", "is no URL", id="to half an address"),
        pytest.param("http://a..b/", "has the host 'a..b', which is none", id="to an empty label"),
        pytest.param(f"http://{'a' * 64}.example/", "which is none", id="to a long label"),
        pytest.param("http://./x", "has no host", id="to a dot"),
    ],
)
def test_a_redirect_is_judged_like_the_first_url(server: str, tmp_path: Path, location: str, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        list(http_file(_source(f"{server}/to/{location}"), LOOPBACK, tmp_path))
    assert caught.value.reason == "AddressForbidden"
    assert says in caught.value.message


def test_other_bytes_than_promised_are_refused(server: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        list(http_file(_source(f"{server}/file", "0" * 64), LOOPBACK, tmp_path))
    assert caught.value.reason == "DigestMismatch"
    assert f"expected sha256 {'0' * 64}, got {SHA}" in caught.value.message


@pytest.mark.parametrize(
    ("path", "error", "reason"),
    [
        pytest.param("status/404", BadInput, "SourceNotFound", id="not found"),
        pytest.param("status/403", BadInput, "AccessDenied", id="forbidden"),
        pytest.param("status/429", PassingFault, "SourceUnavailable", id="too many requests"),
        pytest.param("status/503", PassingFault, "SourceUnavailable", id="unavailable"),
        pytest.param("cut", PassingFault, "SourceUnavailable", id="cut off"),
    ],
)
def test_a_server_that_does_not_deliver_gives_a_reason_and_whether_to_try_again(
    server: str, tmp_path: Path, path: str, error: type[BadInput | PassingFault], reason: str
) -> None:
    with pytest.raises(error) as caught:
        list(http_file(_source(f"{server}/{path}"), LOOPBACK, tmp_path))
    assert caught.value.reason == reason


def test_a_file_beyond_the_cap_is_not_read_to_its_end(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "MAX_BYTES", 100)
    with pytest.raises(BadInput, match="the file is larger than"):
        list(http_file(_source(f"{server}/file"), LOOPBACK, tmp_path))


@pytest.mark.parametrize("where", ["head", "length", "close", "chunks", "size", "silence"])
def test_one_deadline_holds_however_slowly_a_server_sends(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """A byte now and then keeps no connection open: not in the head, not in the body, not between chunks."""
    monkeypatch.setattr(download, "WHOLE_SECONDS", 0.5)
    start = time.monotonic()
    with pytest.raises(PassingFault, match=r"not there after 0\.5 s") as caught:
        list(http_file(_source(f"{server}/drip/{where}"), LOOPBACK, tmp_path))
    assert caught.value.reason == "SourceUnavailable"
    assert time.monotonic() - start < 5


def test_redirects_count_into_the_deadline(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six slow answers are as slow as one."""
    monkeypatch.setattr(download, "WHOLE_SECONDS", 0.5)

    def slowly(host: str, port: int) -> list[str]:
        time.sleep(0.2)
        return ["127.0.0.1"]

    with pytest.raises(PassingFault, match="not there after"):
        list(http_file(_source(f"{server}/hop/5"), LOOPBACK, tmp_path, slowly))


_PIECES = (
    "http://", "https://", "//", "/", ":", "@", "[", "]", "::1", "127.0.0.1", "a", "..", ".", "%", "%00", "%0d%0a", "#",
    "?", "\\", " ", "\t", "\x01", "\x7f", "\u2100", "\uff0e", "\u3002", "\xad", "\xe4", "\ud800", "xn--", "xn--a", "-",
    "a" * 70, "99999", "0", "-1", "٣", "example", "localhost", "user:pw@", "file:", "javascript:", ";", "=", "&", "\0",
)  # fmt: skip


def _any_url(draw: Random) -> str:
    return "".join(draw.choice(_PIECES) for _ in range(draw.randint(1, 8)))


def _fetch_any(server: str, tmp_path: Path, seed: int, count: int) -> None:
    draw = Random(seed)
    for number in range(count):
        url = _any_url(draw)
        places = [f"{server}/to/{urllib.parse.quote(url, errors='surrogatepass')}"]
        with suppress(ValidationError):
            # A port that is closed or none: whatever host it is, it is taken for this machine.
            places.append(HttpSource(url=f"http://{url}:1/", sha256=SHA).url)
        for place in places:
            with pytest.raises((BadInput, PassingFault)) as caught:
                list(http_file(_source(place), LOOPBACK, tmp_path, lambda *_: ["127.0.0.1"]))
            reasons = {"AddressForbidden", "SourceNotFound", "SourceUnavailable"}
            assert caught.value.reason in reasons, (seed, number, url)


def test_any_url_and_any_redirect_end_in_a_reason(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Brackets, ports, empty and long labels, escapes, letters that become others: never another exception."""
    monkeypatch.setattr(download, "CONNECT_SECONDS", 0.2)
    monkeypatch.setattr(download, "READ_SECONDS", 0.2)
    _fetch_any(server, tmp_path, seed=1, count=300)


@pytest.mark.long
def test_many_more_urls_end_in_a_reason(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "CONNECT_SECONDS", 0.2)
    monkeypatch.setattr(download, "READ_SECONDS", 0.2)
    _fetch_any(server, tmp_path, seed=2, count=10_000)


@pytest.mark.parametrize("host", ["٣..", "bücher.example..", "b\xfccher.example", "\uff0e", "a\u3002.", "\xad"])
def test_a_host_that_is_no_ascii_ends_in_a_reason(tmp_path: Path, host: str) -> None:
    """What is sent as Host is made of the name that was resolved."""
    with pytest.raises((BadInput, PassingFault)) as caught:
        list(http_file(_source(f"http://{host}:1/"), LOOPBACK, tmp_path, lambda *_: ["127.0.0.1"]))
    assert caught.value.reason in {"AddressForbidden", "SourceUnavailable"}


def test_the_hint_names_the_setting_of_where_it_runs(tmp_path: Path) -> None:
    """`mlops run` has an option for it; in a cluster it is the operator's to set."""
    for environ, setting in (
        ({}, "MLOPS_HTTP_ALLOWED_NETWORKS of the operator"),
        ({"MLOPS_BUCKETS": tmp_path.as_uri()}, "--allow-network of mlops run"),
    ):
        with pytest.raises(BadInput, match=f"which is not public; {setting} allows more"):
            list(http_file(_source("http://127.0.0.1/x"), environ, tmp_path))
