"""Secrets that stages name, on one machine: files of the running pod, its owner's alone, and probes over TLS."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from mlops.local import probes
from mlops.local.containers import Machine, launch
from tests.workloads.serve.issuers import certificate_of

SECRETS = {("default", "clients"): {"batch": "key-of-the-batch-client"}, ("other", "issuer"): {"jwks.json": "{}"}}


def test_a_secret_is_mounted_as_files_that_only_its_owner_reads(tmp_path: Path) -> None:
    """Of its own namespace; one that is not there is an empty folder."""
    mounts = [{"name": name, "mountPath": f"/var/run/mlops/{name}"} for name in ("api-keys", "jwks")]
    env = [
        {"name": "MLOPS_API_KEYS", "value": "/var/run/mlops/api-keys"},
        {"name": "MLOPS_JWKS", "value": "/var/run/mlops/jwks"},
    ]
    container = {"name": "server", "command": ["true"], "env": env, "volumeMounts": mounts}
    volumes = [
        {"name": name, "secret": {"secretName": secret, "optional": True}}
        for name, secret in (("api-keys", "clients"), ("jwks", "issuer"))
    ]
    pod = {"metadata": {"name": "p", "namespace": "default"}, "spec": {"volumes": volumes}}
    environ = launch(container, pod, tmp_path / "pod", {}, Machine(secrets=SECRETS)).environ
    (key,) = Path(environ["MLOPS_API_KEYS"]).iterdir()
    assert (key.name, key.read_text()) == ("batch", "key-of-the-batch-client")
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.is_relative_to(tmp_path / "pod")
    assert list(Path(environ["MLOPS_JWKS"]).iterdir()) == []
    assert not [name for name, value in environ.items() if "key-of-the-batch" in value]


async def test_a_probe_over_tls_takes_any_certificate_and_no_plain_answer(tmp_path: Path) -> None:
    """As a kubelet does."""
    for name, text in zip(("tls.crt", "tls.key"), certificate_of("probed"), strict=True):
        (tmp_path / name).write_text(text)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        writer.close()

    over_tls = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    plain = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        for server, scheme, good in (
            (over_tls, "HTTPS", True),
            (plain, "HTTP", True),
            (plain, "HTTPS", False),
            (over_tls, "HTTP", False),
        ):
            port = server.sockets[0].getsockname()[1]
            probe = {"httpGet": {"path": "/", "port": port, "scheme": scheme}, "timeoutSeconds": 5}
            assert await probes.succeeds(probe, {}, {}) is good
    finally:
        over_tls.close()
        plain.close()
