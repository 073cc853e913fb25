"""`mlops run` with a stage that asks for keys and shows a certificate: the whole loop goes by them."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from pathlib import Path

import grpc
import pytest
import yaml

from tests.cli.project import command, environment, mlops, rows, write
from tests.stored_bytes import found_in
from tests.workloads.serve.issuers import certificate_of

pytestmark = pytest.mark.slow

KEY = "key-of-the-batch-client"
ACCESS = "auth: {apiKeys: {secretRef: {name: clients}}}, tls: {secretRef: {name: shown}}"


def test_a_loop_goes_by_keys_and_a_certificate(tmp_path: Path) -> None:
    """Probes, replay and predict reach the server over TLS; nobody without the key does, and the state keeps none."""
    folder, state = write(tmp_path / "project", replay=True), tmp_path / "state"
    certificate, private = certificate_of("tiny")
    (tmp_path / "ca.pem").write_text(certificate)
    manifests = folder / "tiny.yaml"
    secrets = [_secret("clients", {"batch": KEY}), _secret("shown", {"tls.crt": certificate, "tls.key": private})]
    text = manifests.read_text().replace(
        " protocolVersions: [v2, grpc-v2],", f" protocolVersions: [v2, grpc-v2], {ACCESS},"
    )
    assert ACCESS in text
    manifests.write_text("---\n".join([text, *map(yaml.safe_dump, secrets)]))
    known = environment() | {"SSL_CERT_FILE": str(tmp_path / "ca.pem"), "MLOPS_SERVER_TOKEN": KEY}
    with (tmp_path / "output").open("wb") as output:
        words = ("run", "-f", folder, "--keep-serving", "--state", state)
        running = subprocess.Popen(command(*words), stdout=output, stderr=output, env=known, start_new_session=True)
    try:
        url = _wait_for(tmp_path / "output", running, r"serving tiny-production at (https://\S+)")
        address = _wait_for(tmp_path / "output", running, r"and over gRPC with TLS at (127\.0\.0\.1:\d+)")
        with grpc.secure_channel(address, grpc.ssl_channel_credentials(certificate.encode())) as channel:
            ask = channel.unary_unary("/inference.GRPCInferenceService/ServerMetadata")
            assert b"mlops" in ask(b"", metadata=(("x-api-key", KEY),), timeout=20)
            with pytest.raises(grpc.RpcError) as stranger:
                ask(b"", timeout=20)
            assert stranger.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert "Authorization: Bearer $MLOPS_SERVER_TOKEN" in (tmp_path / "output").read_text()
        rows(3, start=900).write_csv(tmp_path / "more.csv")
        asked = command("predict", "tiny", "--file", tmp_path / "more.csv", "--url", url)
        answered = subprocess.run(asked, env=known, capture_output=True, text=True, timeout=60)
        assert answered.returncode == 0, answered.stderr
        for missing, says in (("MLOPS_SERVER_TOKEN", "401"), ("SSL_CERT_FILE", "certificate verify failed")):
            stranger = {name: value for name, value in known.items() if name != missing}
            refused = subprocess.run(asked, env=stranger, capture_output=True, text=True, timeout=60)
            assert refused.returncode == 2
            assert says in refused.stderr
            assert "Traceback" not in refused.stderr
        written = list((state / "pods").rglob("batch"))
        assert [path.stat().st_mode & 0o777 for path in written] == [0o600]
    finally:
        running.send_signal(signal.SIGINT)
        running.wait(30)
    shown = mlops("get", "mver", "tiny-v1", "-o", "json", "--state", state).stdout
    assert KEY not in (tmp_path / "output").read_text() + shown
    assert found_in(state, [KEY, private.splitlines()[1]]) == {}
    assert list((state / "store" / "objects" / "captures").rglob("*.parquet")), "what was replayed is on record"


def _secret(name: str, values: dict[str, str]) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}


def _wait_for(output: Path, running: subprocess.Popen[bytes], pattern: str) -> str:
    deadline = time.monotonic() + 240
    while (found := re.search(pattern, output.read_text())) is None:
        assert running.poll() is None, output.read_text()
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.2)
    return found[1]
