"""A real server whose stage asks for keys, tokens and a certificate: who gets in, what a stranger learns, renewal."""

from __future__ import annotations

import itertools
import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlops.api import tasks
from mlops.api.stage_access import StageAuth, StageTls
from mlops.workloads.serve.tls import MOST_HANDSHAKES
from tests.workloads.serve.issuers import AUDIENCE, ISSUER, Issuer, certificate_of, trusting
from tests.workloads.serve.models import rows
from tests.workloads.serve.mounts import Mount
from tests.workloads.serve.servers import Served, artifact_of, metric, request_of, serving, started, task_of

INFER, LABELS, FLUSH = "/v2/models/weather/infer", "/v2/models/weather/feedback", "/-/flush"
KEYS = {"batch": "key-of-the-batch-client", "labels": "key-of-the-labels-client", "scraper": "key-of-the-scraper"}
ISSUED = Issuer()
# Addresses that were not wrong too often yet.
_OTHERS = itertools.count(1)


def a_task(artifact: str, *, tls: bool = False, auth: bool = True) -> tasks.ServeTask:
    asked = {
        "apiKeys": {"secretRef": {"name": "weather-clients"}},
        "jwt": {"jwksSecretRef": {"name": "issuer-keys"}, "issuer": ISSUER, "audience": AUDIENCE},
        "routes": {
            "infer": {"clients": ["batch"], "subjects": ["service:billing"]},
            "feedback": {"clients": ["labels"]},
            "admin": {"subjects": ["service:operations"]},
            "metrics": {"clients": ["scraper"]},
        },
    }
    return task_of(artifact).evolve(
        auth=StageAuth.model_validate(asked) if auth else None,
        tls=StageTls.model_validate({"secretRef": {"name": "weather-tls"}}) if tls else None,
    )


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Mount:
    """The mounted Secret of the clients."""
    mount = Mount(tmp_path_factory.mktemp("mounts") / "api-keys")
    mount.put(KEYS)
    return mount


@pytest.fixture(scope="module")
def guarded(model: Path, keys: Mount, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that asks for keys and tokens."""
    folder = tmp_path_factory.mktemp("guarded")
    jwks = Mount(folder / "jwks")
    jwks.put({name: content.decode() for name, content in ISSUED.files().items()})
    environ = {"MLOPS_API_KEYS": str(keys.folder), "MLOPS_JWKS": str(jwks.folder), "MLOPS_LOG_LEVEL": "debug"}
    task = a_task(artifact_of(folder / "store", model))
    with serving(folder / "pod", folder / "store", task, **environ) as served:
        yield served


def status(served: Served, method: str, path: str, document: Any = None, **headers: str) -> int:
    return served.ask(method, path, _body(document), _sent(headers))[0]


def _body(document: Any) -> bytes | None:
    return None if document is None else json.dumps(document).encode()


def _sent(headers: dict[str, str]) -> dict[str, str]:
    return {"content-type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}


def _of(client: str) -> str:
    return f"Bearer {KEYS[client]}"


def _until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_each_identity_may_use_what_the_stage_says_and_nothing_else(guarded: Served) -> None:
    """Keys in either header, tokens; 403 for whoever is known and may not, 401 for whoever is not."""
    asked = request_of(rows(1), id="r1")
    label = {"labels": [{"id": "r1", "label": "yes"}]}
    billing, operations = (ISSUED.token(sub=f"service:{name}").decode() for name in ("billing", "operations"))
    assert status(guarded, "POST", INFER, asked, authorization=_of("batch")) == 200
    assert status(guarded, "POST", INFER, asked, x_api_key=KEYS["batch"]) == 200
    assert status(guarded, "POST", INFER, asked, authorization=f"Bearer {billing}") == 200
    assert status(guarded, "POST", INFER, asked, authorization=_of("labels")) == 403
    assert status(guarded, "POST", INFER, asked, authorization=f"Bearer {operations}") == 403
    assert status(guarded, "POST", LABELS, label, authorization=_of("labels")) == 202
    assert status(guarded, "POST", LABELS, label, authorization=_of("batch")) == 403
    assert status(guarded, "POST", FLUSH, authorization=f"Bearer {operations}") == 200
    assert status(guarded, "POST", FLUSH, authorization=f"Bearer {billing}") == 403
    assert status(guarded, "GET", "/metrics", x_api_key=KEYS["scraper"]) == 200
    assert status(guarded, "GET", "/metrics") == 401
    page = guarded.ask("GET", "/", None, {"X-API-Key": KEYS["batch"]})[2].decode()
    assert "Authorization: Bearer $MLOPS_SERVER_TOKEN" in page
    for health in ("/v2/health/live", "/v2/health/ready", "/v2/health/fetched", "/v2/models/weather/ready"):
        assert status(guarded, "GET", health) == 200


def test_the_document_says_of_each_address_what_the_server_asks_of_it(guarded: Served) -> None:
    """With the header of each scheme a client is let in where `security` stands, and without one nowhere."""
    document = json.loads(guarded.ask("GET", "/openapi.json", None, {"X-API-Key": KEYS["batch"]})[2])
    schemes = document["components"]["securitySchemes"]
    headers = {"apiKey": {schemes["apiKey"]["name"]: KEYS["batch"]}, "bearer": {"Authorization": _of("batch")}}
    assert schemes["bearer"]["scheme"] == "bearer"
    assert headers.keys() == schemes.keys()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            body = b"{}" if method == "post" else None
            assert (guarded.ask(method.upper(), path, body)[0] == 401) is bool(operation.get("security"))
            for (name,) in map(tuple, operation.get("security", ())):
                assert guarded.ask(method.upper(), path, body, headers[name])[0] in (200, 400, 422)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/openapi.json"),
        ("GET", "/v2"),
        ("GET", "/v2/models"),
        ("GET", "/v2/models/weather"),
        ("GET", "/v2/models/weather/config"),
        ("GET", "/v2/models/weather/stats"),
        ("GET", "/v2/models/weather/versions/3"),
        ("GET", "/v2/models/another"),
        ("GET", "/nowhere"),
        ("HEAD", "/metrics"),
        ("GET", "/metrics/"),
        ("GET", "/%6detrics"),
        ("DELETE", INFER),
        ("POST", INFER),
        ("POST", INFER + "/"),
        ("POST", "/v2/models/weather/versions/3/predict"),
        ("POST", LABELS),
        ("POST", FLUSH),
        ("POST", "/%2d/flush"),
        ("POST", "//-/flush"),
    ],
)
def test_a_stranger_learns_nothing_of_the_model_whatever_the_address(guarded: Served, method: str, path: str) -> None:
    """Not even which addresses, models and versions there are; missing and wrong are told alike."""
    sent = [{}, {"Authorization": "Bearer nonsense-nonsense"}, {"X-API-Key": ISSUED.token().decode()}]
    body = b"{}" if method == "POST" else None
    source = f"127.0.1.{next(_OTHERS)}"
    answers = [guarded.ask(method, path, body, headers, source) for headers in sent]
    for code, headers, body in answers:
        assert code == 401
        assert headers["www-authenticate"] == 'Bearer realm="mlops"'
        assert body == answers[0][2]
        assert b"weather" not in body
        assert b"nonsense" not in body


def test_neither_keys_nor_tokens_are_logged_and_failures_are_counted(guarded: Served) -> None:
    """Also at the level debug; the labels of the metric are a few words."""
    token, wrong = ISSUED.token(iss="https://attacker.example.com").decode(), "a-key-that-nobody-has"
    assert status(guarded, "GET", "/v2", authorization=f"Bearer {token}") == 401
    assert status(guarded, "GET", "/v2", x_api_key=wrong) == 401
    log = (guarded.folder / "server.log").read_text()
    assert "answered 401" in log
    for secret in (*KEYS.values(), token, wrong, "nonsense", "attacker"):
        assert secret not in log
    text = guarded.ask("GET", "/metrics", None, {"X-API-Key": KEYS["scraper"]})[2].decode()
    lines = [line for line in text.splitlines() if line.startswith("mlops_denied_requests_total{")]
    assert len(lines) == 16
    counted = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}
    assert counted['mlops_denied_requests_total{group="infer",reason="not_accepted"}'] >= 2
    assert "nobody" not in text


def test_a_body_is_not_taken_of_whoever_may_not_send_it(guarded: Served) -> None:
    """The answer comes after the head, and a client that waits to be asked is not asked."""
    head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n"
    for more, first in (("", b"HTTP/1.1 401"), ("Expect: 100-continue\r\n", b"HTTP/1.1 401")):
        with socket.create_connection(("127.0.0.1", guarded.port), timeout=20) as client:
            client.sendall(f"{head}{more}\r\n".encode())
            assert client.recv(65536).startswith(first)


def test_keys_are_exchanged_while_a_connection_goes_on(guarded: Served, keys: Mount) -> None:
    """A head that the connection has sent a hundred times opens nothing once its key is gone."""
    body = json.dumps(request_of(rows(1))).encode()
    request = (
        f"POST {INFER} HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEYS['batch']}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    # A head that is wrong too often would close it.
    own = (f"127.0.1.{next(_OTHERS)}", 0)
    with socket.create_connection(("127.0.0.1", guarded.port), timeout=20, source_address=own) as client:

        def answer() -> bytes:
            client.sendall(request)
            return client.recv(65536)[:12]

        assert [answer() for _ in range(5)] == [b"HTTP/1.1 200"] * 5
        keys.put({**KEYS, "batch": "another-key-of-the-batch"})
        _until(lambda: answer() == b"HTTP/1.1 401")
        assert status(guarded, "GET", "/v2", x_api_key="another-key-of-the-batch") == 200
        keys.put(KEYS)
        _until(lambda: answer() == b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("secret", "files"),
    [
        ('Secret "weather-clients" in namespace "team", which auth.apiKeys.secretRef of stage production', {}),
        ('"issuer-keys" in namespace "team", which auth.jwt.jwksSecretRef of stage production names', KEYS),
    ],
)
def test_a_secret_that_is_missing_is_a_condition_with_a_way_out(
    model: Path, tmp_path: Path, secret: str, files: dict[str, str]
) -> None:
    """The pod ends with what is to be mended, and is tried again."""
    mount = Mount(tmp_path / "keys")
    mount.put(files)
    environ = {"MLOPS_API_KEYS": str(mount.folder), "MLOPS_JWKS": str(tmp_path / "nothing")}
    task = a_task(artifact_of(tmp_path / "store", model))
    with started(tmp_path / "pod", tmp_path / "store", task, **environ) as served:
        assert served.process.wait(timeout=60) == tasks.EXIT_RETRY
        assert served.report["reason"] == "CredentialsMissing"
        assert secret in served.report["message"]


def test_a_server_without_tokens_imports_no_cryptography() -> None:
    """What is switched off takes no memory, and is no way in."""
    said = "import sys, mlops.workloads.serve.run; print({'jwt', 'cryptography'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "set()"


@pytest.fixture(scope="module")
def shown() -> tuple[str, str]:
    """A certificate and its key."""
    return certificate_of("first")


@pytest.fixture(scope="module")
def certificates(shown: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Mount:
    """The mounted Secret of the certificate."""
    mount = Mount(tmp_path_factory.mktemp("mounts") / "tls")
    mount.put({"tls.crt": shown[0], "tls.key": shown[1]})
    return mount


@pytest.fixture(scope="module")
def secured(
    model: Path, certificates: Mount, shown: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A server over TLS."""
    folder = tmp_path_factory.mktemp("secured")
    task = a_task(artifact_of(folder / "store", model), tls=True, auth=False)
    limits = {"MLOPS_TLS": str(certificates.folder), "MLOPS_REQUEST_SECONDS": "2"}
    with serving(folder / "pod", folder / "store", task, trusting(shown[0]), **limits) as served:
        yield served


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_a_server_with_a_certificate_answers_over_tls_only(secured: Served) -> None:
    """TLS 1.2 and newer, in HTTP/1.1; who speaks plain HTTP, or an older TLS, gets no answer."""
    assert secured.infer(request_of(rows(2)))[0] == 200
    assert b"https://127.0.0.1" in secured.ask("GET", "/")[2]
    with socket.create_connection(("127.0.0.1", secured.port), timeout=20) as client:
        client.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert not client.recv(65536).startswith(b"HTTP")
    assert secured.trusted is not None
    for version, spoken in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
        with _connected(secured, version) as client:
            assert client.version() == spoken
            assert client.selected_alpn_protocol() == "http/1.1"
    with pytest.raises((ssl.SSLError, ConnectionError)), _connected(secured, ssl.TLSVersion.TLSv1_1):
        pass


def _connected(served: Served, version: ssl.TLSVersion) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    if version < ssl.TLSVersion.TLSv1_2:
        context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    return context.wrap_socket(socket.create_connection(("127.0.0.1", served.port), timeout=20))


def test_large_requests_and_many_on_one_connection_are_whole(secured: Served) -> None:
    """More than a record of TLS holds, in both directions, pipelined and one by one."""
    with _connected(secured, ssl.TLSVersion.TLSv1_3) as client:
        many = request_of(rows(5000))
        body = json.dumps(many).encode()
        head = (
            f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        client.sendall((head.encode() + body) * 2)
        received = b""
        while received.count(b"HTTP/1.1 200") < 2 or not received.endswith(b"]}]}"):
            part = client.recv(1 << 20)
            assert part
            received += part
    assert secured.infer(many)[1]["outputs"][0]["shape"] == [5000]


def test_who_begins_a_handshake_and_stops_keeps_nobody_out(secured: Served) -> None:
    """Hundreds of connections that say nothing: others are answered meanwhile, and those are cut off."""
    silent = [socket.create_connection(("127.0.0.1", secured.port), timeout=20) for _ in range(3 * MOST_HANDSHAKES)]
    try:
        assert secured.ask("GET", "/v2/health/ready")[0] == 200
        assert secured.infer(request_of(rows(1)))[0] == 200
        for client in silent[:MOST_HANDSHAKES]:
            assert client.recv(1) == b""
    finally:
        for client in silent:
            client.close()
    log = (secured.folder / "server.log").read_text()
    assert "Traceback" not in log
    assert "Exception" not in log


def test_a_slow_request_over_tls_is_cut_off(secured: Served) -> None:
    """The times of a connection hold as without TLS."""
    with _connected(secured, ssl.TLSVersion.TLSv1_3) as client:
        client.sendall(b"GET /v2 HTTP/1.1\r\nHost:")
        assert client.recv(65536).startswith(b"HTTP/1.1 408")
    with _connected(secured, ssl.TLSVersion.TLSv1_2) as client:
        client.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 200")


def test_a_renewed_certificate_is_shown_and_a_bad_one_is_not(
    secured: Served, certificates: Mount, shown: tuple[str, str]
) -> None:
    """Without a restart; a connection that is open goes on, and a pair that does not fit changes nothing."""
    second = certificate_of("second")

    def serial() -> bytes | None:
        with _connected(secured, ssl.TLSVersion.TLSv1_3) as client:
            return client.getpeercert(binary_form=True)

    first = serial()
    with _connected(secured, ssl.TLSVersion.TLSv1_3) as held:
        certificates.put({"tls.crt": second[0], "tls.key": shown[1]})
        _until(lambda: metric(secured, 'mlops_secret_unusable{kind="tls"}') == 1)
        assert (
            "tls: the renewed files are of no use: tls.crt and tls.key" in (secured.folder / "server.log").read_text()
        )
        assert serial() == first
        certificates.put({"tls.crt": second[0], "tls.key": second[1]})
        _until(lambda: serial() != first)
        held.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert held.recv(65536).startswith(b"HTTP/1.1 200")
    certificates.put({"tls.crt": shown[0], "tls.key": shown[1]})
    _until(lambda: serial() == first)
    assert secured.infer(request_of(rows(1)))[0] == 200
    assert "PRIVATE KEY" not in (secured.folder / "server.log").read_text()


def test_a_server_over_tls_stops_in_time(model: Path, tmp_path: Path, shown: tuple[str, str]) -> None:
    """Also while clients hold connections, and what was captured is stored."""
    mount = Mount(tmp_path / "tls")
    mount.put({"tls.crt": shown[0], "tls.key": shown[1]})
    task = a_task(artifact_of(tmp_path / "store", model), tls=True, auth=False)
    environ = {"MLOPS_TLS": str(mount.folder)}
    with serving(tmp_path / "pod", tmp_path / "store", task, trusting(shown[0]), **environ) as served:
        assert served.infer(request_of(rows(7)))[0] == 200
        with _connected(served, ssl.TLSVersion.TLSv1_3), socket.create_connection(("127.0.0.1", served.port)):
            assert served.stop() == 0
        assert served.recorded().height == 7
