"""gRPC of a stage that asks for keys and tokens and shows a certificate: as HTTP, over TLS alone."""

from __future__ import annotations

import json
import socket
import ssl
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from mlops.workloads.serve.tls import HANDSHAKE_SECONDS
from mlops.workloads.serve.tries import ADDRESS_TRIES
from tests.servers.process import free_port
from tests.workloads.serve.issuers import certificate_of, trusting
from tests.workloads.serve.models import rows
from tests.workloads.serve.mounts import Mount
from tests.workloads.serve.rpc import (
    EXHAUSTED,
    UNAVAILABLE,
    answered,
    ends,
    message_of,
    messages,
    raw_call,
    refused,
    stubs,
)
from tests.workloads.serve.servers import Served, artifact_of, request_of, serving
from tests.workloads.serve.test_access import ISSUED, KEYS, a_task
from tests.workloads.serve.test_rpc import tensors_of

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tritonclient.grpc as triton

UNAUTHENTICATED, FORBIDDEN = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED
ROW = message_of(request_of(rows(1)), raw=True)
SCRAPER = {"X-API-Key": KEYS["scraper"]}


@dataclass(frozen=True)
class Secured:
    """A server whose two ports ask for keys, over TLS, and what it is given."""

    served: Served
    port: int
    keys: Mount
    certificates: Mount
    shown: tuple[str, str]

    @contextmanager
    def stub(self, *certificates: str) -> Iterator[Any]:
        """A client over a connection of its own that takes these certificates."""
        trusted = grpc.ssl_channel_credentials("\n".join(certificates or (self.shown[0],)).encode())
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        with grpc.secure_channel(f"127.0.0.1:{self.port}", trusted, options) as channel:
            yield stubs.GRPCInferenceServiceStub(channel)

    def denied(self, reason: str) -> float:
        """How many calls were denied for this reason, of the group infer."""
        text = self.served.ask("GET", "/metrics", None, SCRAPER)[2].decode()
        name = f'mlops_denied_requests_total{{group="infer",reason="{reason}"}}'
        return float(next(line.split()[-1] for line in text.splitlines() if line.startswith(name)))


@pytest.fixture(scope="module")
def secured(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A server that speaks gRPC and HTTP, with keys, tokens and a certificate."""
    folder, shown, port = tmp_path_factory.mktemp("secured"), certificate_of("first"), free_port()
    keys, jwks, certificates = (Mount(folder / name) for name in ("api-keys", "jwks", "tls"))
    keys.put(KEYS)
    jwks.put({name: content.decode() for name, content in ISSUED.files().items()})
    certificates.put({"tls.crt": shown[0], "tls.key": shown[1]})
    environ = {
        "MLOPS_API_KEYS": str(keys.folder),
        "MLOPS_JWKS": str(jwks.folder),
        "MLOPS_TLS": str(certificates.folder),
        "MLOPS_GRPC_PORT": str(port),
        "MLOPS_REQUEST_SECONDS": "2",
        "MLOPS_LOG_LEVEL": "debug",
    }
    task = a_task(artifact_of(folder / "store", model), tls=True)
    with serving(folder / "pod", folder / "store", task, trusting(shown[0]), **environ) as served:
        yield Secured(served, port, keys, certificates, shown)


def by(credential: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {credential}"),)


def until(condition: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_tritons_client_is_answered_over_tls_with_a_key(secured: Secured, tmp_path: Path) -> None:
    """Bit by bit as over HTTP."""
    (tmp_path / "ca.pem").write_text(secured.shown[0])
    client = triton.InferenceServerClient(
        f"127.0.0.1:{secured.port}", ssl=True, root_certificates=str(tmp_path / "ca.pem")
    )
    try:
        assert client.is_server_ready()
        key = {"authorization": f"Bearer {KEYS['batch']}"}
        assert client.get_model_metadata("weather", headers=key).name == "weather"
        answer = client.infer("weather", tensors_of(rows(3)), headers=key)
        sent = {"Content-Type": "application/json", "X-API-Key": KEYS["batch"]}
        over_http = json.loads(
            secured.served.ask("POST", "/v2/models/weather/infer", json.dumps(request_of(rows(3))).encode(), sent)[2]
        )
        assert answer.as_numpy("probabilities").ravel().tolist() == over_http["outputs"][1]["data"]
        with pytest.raises(triton.InferenceServerException, match="this address takes known clients only"):
            client.infer("weather", tensors_of(rows(1)))
    finally:
        client.close()


def test_each_identity_may_call_what_it_may_ask_over_http(secured: Secured) -> None:
    """Keys in either field, tokens; who is known and may not, and who is not, hear the sentences of HTTP."""
    billing, operations = (ISSUED.token(sub=f"service:{name}").decode() for name in ("billing", "operations"))
    http = {
        code: json.loads(secured.served.ask("GET", "/v2", None, sent)[2])["error"]
        for code, sent in ((401, {}), (403, {"X-API-Key": KEYS["labels"]}))
    }
    with secured.stub() as stub:
        for given in (by(KEYS["batch"]), (("x-api-key", KEYS["batch"]),), by(billing)):
            answer = stub.ModelInfer(ROW, metadata=given, timeout=20)
            assert [one["name"] for one in answered(answer)] == ["prediction", "probabilities"]
        for given in (by(KEYS["labels"]), by(operations)):
            error = denied_by(stub.ModelInfer, ROW, given)
            assert (error.code(), error.details()) == (FORBIDDEN, http[403])
        twice = (*by(KEYS["batch"]), *by(KEYS["batch"]))
        for given in ((), by("nonsense-nonsense"), twice, (("authorization", f"Basic {KEYS['batch']}"),)):
            for call, message in (
                (stub.ModelInfer, ROW),
                (stub.ServerMetadata, messages.ServerMetadataRequest()),
                (stub.ModelMetadata, messages.ModelMetadataRequest(name="weather")),
                (stub.ModelStatistics, messages.ModelStatisticsRequest()),
            ):
                error = denied_by(call, message, given)
                assert (error.code(), error.details()) == (UNAUTHENTICATED, http[401])
        # Health is open, as it is to a kubelet.
        assert stub.ServerLive(messages.ServerLiveRequest(), timeout=20).live
        assert stub.ModelReady(messages.ModelReadyRequest(name="weather"), timeout=20).ready
        unknown = denied_by(stub.ModelStatistics, messages.ModelStatisticsRequest(), by(KEYS["batch"]))
        assert unknown.code() == grpc.StatusCode.UNIMPLEMENTED
    assert secured.denied("nothing_given") >= 4
    assert secured.denied("not_accepted") >= 12
    assert secured.denied("not_allowed") >= 2
    log = (secured.served.folder / "server.log").read_text()
    assert not [secret for secret in (*KEYS.values(), billing, "nonsense") if secret in log]


def denied_by(call: Any, message: Any, given: Any) -> Any:
    with pytest.raises(grpc.RpcError) as error:
        call(message, metadata=given, timeout=20)
    return error.value


def test_a_stranger_is_told_before_his_message_is_there(model: Path, tmp_path: Path) -> None:
    """Of a call of which only the head and ten bytes came: it ends at once, and nothing is held for it."""
    keys, port = Mount(tmp_path / "keys"), free_port()
    keys.put(KEYS)
    jwks = Mount(tmp_path / "jwks")
    jwks.put({name: content.decode() for name, content in ISSUED.files().items()})
    environ = {
        "MLOPS_API_KEYS": str(keys.folder),
        "MLOPS_JWKS": str(jwks.folder),
        "MLOPS_GRPC_PORT": str(port),
        "MLOPS_REQUEST_SECONDS": "60",
    }
    task = a_task(artifact_of(tmp_path / "store", model))
    with (
        serving(tmp_path / "pod", tmp_path / "store", task, **environ) as served,
        raw_call(port, bytes(1_000_000), sent=10) as connection,
    ):
        connection.settimeout(20)
        assert ends(connection)
        text = served.ask("GET", "/metrics", None, SCRAPER)[2].decode()
        assert 'mlops_requests_total{code="401",route="infer"} 1.0' in text


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_there_is_no_port_without_tls(secured: Secured) -> None:
    """Neither plain HTTP/2, nor a TLS of before 1.2."""
    with grpc.insecure_channel(f"127.0.0.1:{secured.port}", [("grpc.enable_retries", 0)]) as channel:
        live = stubs.GRPCInferenceServiceStub(channel).ServerLive
        assert refused(live, messages.ServerLiveRequest()).code() == UNAVAILABLE
    for version, spoken in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
        with _connected(secured.port, version) as client:
            assert (client.version(), client.selected_alpn_protocol()) == (spoken, "h2")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        _connected(secured.port, ssl.TLSVersion.TLSv1_1)


def _connected(port: int, version: ssl.TLSVersion) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    if version < ssl.TLSVersion.TLSv1_2:
        context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=20))


def test_a_handshake_that_does_not_come_is_not_waited_for(secured: Secured) -> None:
    """The library's own two minutes would let the silent hold connections; others are answered meanwhile."""
    with socket.create_connection(("127.0.0.1", secured.port), timeout=4 * HANDSHAKE_SECONDS) as silent:
        with secured.stub() as stub:
            assert stub.ServerLive(messages.ServerLiveRequest(), timeout=20).live
        assert silent.recv(1) == b""


def test_keys_and_certificate_are_exchanged_without_a_restart(secured: Secured) -> None:
    """A connection that is open goes on, and asks for the key of now; a pair that does not fit changes nothing."""
    second = certificate_of("second")

    def shown() -> bytes | None:
        with _connected(secured.port, ssl.TLSVersion.TLSv1_3) as client:
            return client.getpeercert(binary_form=True)

    first = shown()
    with secured.stub() as held:
        assert held.ModelInfer(ROW, metadata=by(KEYS["batch"]), timeout=20).model_name == "weather"
        secured.certificates.put({"tls.crt": second[0], "tls.key": secured.shown[1]})
        until(lambda: "tls: the renewed files are of no use" in (secured.served.folder / "server.log").read_text())
        assert shown() == first
        secured.certificates.put({"tls.crt": second[0], "tls.key": second[1]})
        until(lambda: shown() != first)
        with secured.stub(second[0]) as stub:
            assert stub.ServerLive(messages.ServerLiveRequest(), timeout=20).live
        secured.keys.put({**KEYS, "batch": "another-key-of-the-batch"})

        def takes(key: str) -> bool:
            try:
                held.ServerMetadata(messages.ServerMetadataRequest(), metadata=by(key), timeout=20)
            except grpc.RpcError:
                return False
            return True

        until(lambda: takes("another-key-of-the-batch"))
        assert not takes(KEYS["batch"])
    secured.keys.put(KEYS)
    secured.certificates.put({"tls.crt": secured.shown[0], "tls.key": secured.shown[1]})
    until(lambda: shown() == first)


def test_who_tries_too_often_is_told_when_to_come_again(secured: Secured) -> None:
    """Over either port, which count together; a right key is answered meanwhile.

    The last test here: this address has no tries left.
    """
    with secured.stub() as stub:
        codes = []
        for _ in range(2 * ADDRESS_TRIES):
            error = denied_by(stub.ServerMetadata, messages.ServerMetadataRequest(), by("a-key-that-nobody-has"))
            codes.append(error.code())
            if codes[-1] is EXHAUSTED:
                break
        assert set(codes) == {UNAUTHENTICATED, EXHAUSTED}
        assert "too many wrong keys and tokens came from this address" in error.details()
        assert dict(error.trailing_metadata())["grpc-retry-pushback-ms"] == "1000"
        wrong = {"X-API-Key": "a-key-that-nobody-has"}
        answers = [secured.served.ask("GET", "/v2", None, wrong) for _ in range(5)]
        _, headers, body = next(answer for answer in answers if answer[0] == 429)
        assert (headers["retry-after"], headers["connection"]) == ("1", "close")
        assert b"send a key or token that holds" in body
        assert secured.served.ask("GET", "/v2", None, wrong, "127.0.3.1")[0] == 401
        assert stub.ModelInfer(ROW, metadata=by(KEYS["batch"]), timeout=20).model_name == "weather"
        assert secured.served.ask("GET", "/v2", None, {"X-API-Key": KEYS["batch"]})[0] == 200
    assert secured.denied("too_many_tries") >= 2
