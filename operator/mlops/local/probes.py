"""Probes of containers, as a kubelet makes them."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Mapping

from mlops.local.containers import HOST
from mlops.planning.plan import Manifest

# A kubelet waits for the whole period; here, a start that takes 300 ms is seen after 300 ms.
FIRST_PERIOD = 0.05


async def succeeds(probe: Manifest, ports: Mapping[int, int], names: Mapping[str, int]) -> bool:
    """Return whether the probe's httpGet (2xx or 3xx) or tcpSocket succeeds within its timeoutSeconds."""
    action = probe.get("httpGet") or probe.get("tcpSocket") or {}
    wanted = action.get("port", 0)
    number = names.get(wanted, 0) if isinstance(wanted, str) else wanted
    port = ports.get(number, number)
    try:
        async with asyncio.timeout(probe.get("timeoutSeconds", 1)):
            reader, writer = await asyncio.open_connection(HOST, port, ssl=_any_certificate(action))
            try:
                return "tcpSocket" in probe or await _get(reader, writer, action.get("path", "/"))
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError, ValueError):
        return False


def _any_certificate(action: Manifest) -> ssl.SSLContext | None:
    """Return what speaks TLS where the probe asks for it: as a kubelet, it takes every certificate."""
    if action.get("scheme") != "HTTPS":
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def _get(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> bool:
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: kube-probe\r\nConnection: close\r\n\r\n".encode())
    await writer.drain()
    words = (await reader.readline()).split()
    return len(words) > 1 and 200 <= int(words[1]) < 400
