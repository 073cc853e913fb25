"""A file from a web server, in a way that reaches no address that the public cannot reach.

The host's name is resolved once, every address of it is judged, and the connection goes to a judged address: a name
that gives another answer the second time leads nowhere. Each redirect goes through the same.
"""

from __future__ import annotations

import hashlib
import ipaddress
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.util import Timeout

from mlops.api.dataset import HttpSource, Reason
from mlops.api.tasks import HTTP_NETWORKS_VARIABLE
from mlops.workloads.ingest.locate import Delivered
from mlops.workloads.pod import BadInput, PassingFault

MAX_REDIRECTS = 5
MAX_BYTES = 64 << 30
CONNECT_SECONDS, READ_SECONDS, WHOLE_SECONDS = 10.0, 60.0, 6 * 3600.0
_REDIRECTS = {301, 302, 303, 307, 308}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], list[str]]

# Public by registry, and yet a way inside: translation and tunnels to IPv4, and the metadata services of clouds.
_NEVER = tuple(
    ipaddress.ip_network(network)
    for network in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "100.64.0.0/10", "168.63.129.16/32")
)


def resolve(host: str, port: int) -> list[str]:
    """Return every address of a host. Raises OSError."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


@dataclass(frozen=True)
class Policy:
    """Which addresses may be reached."""

    allowed: tuple[Network, ...] = ()

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Policy:
        """Read MLOPS_HTTP_ALLOWED_NETWORKS: CIDRs separated by commas. Raises BadInput."""
        text = environ.get(HTTP_NETWORKS_VARIABLE, "")
        try:
            return cls(tuple(ipaddress.ip_network(one.strip()) for one in text.split(",") if one.strip()))
        except ValueError as error:
            raise BadInput(Reason.ADDRESS_FORBIDDEN, f"{HTTP_NETWORKS_VARIABLE}: {error}") from error

    def permits(self, address: Address) -> bool:
        """Return whether the address is public or expressly allowed."""
        if isinstance(address, ipaddress.IPv6Address):
            if address.ipv4_mapped is not None:
                return self.permits(address.ipv4_mapped)
            if address.scope_id is not None:
                return False
        if any(address in network for network in self.allowed):
            return True
        if address.is_multicast or not address.is_global or any(address in network for network in _NEVER):
            return False
        # ::a.b.c.d, the deprecated form of an IPv4 address.
        return not (isinstance(address, ipaddress.IPv6Address) and int(address) < 2**32)


def http_file(
    source: HttpSource,
    environ: Mapping[str, str],
    scratch: Path,
    resolver: Resolve = resolve,
    authorization: str | None = None,
) -> Iterator[Delivered]:
    """Yield the file at the source's URL after checking its sha256. `authorization` is sent to that URL's origin only.

    Raises BadInput (AddressForbidden, SourceNotFound, AccessDenied, DigestMismatch, FormatError) or PassingFault.
    """
    path = scratch / "delivered"
    got = _fetch(source.url, Policy.from_environ(environ), path, resolver, authorization)
    if got != source.sha256:
        raise BadInput(
            Reason.DIGEST_MISMATCH,
            f"{source.url}: expected sha256 {source.sha256}, got {got}: "
            "the file was changed, or spec.source.http.sha256 is another file's",
        )
    yield Delivered(source.url, path)
    path.unlink()


def _fetch(url: str, policy: Policy, path: Path, resolver: Resolve, authorization: str | None) -> str:
    deadline = time.monotonic() + WHOLE_SECONDS
    first = url
    for _ in range(MAX_REDIRECTS + 1):
        with _connect(url, policy, resolver) as pool:
            # A redirect may lead anywhere, also to the same host without TLS: what is secret stays where it was meant.
            response = _get(pool, url, authorization if _origin(url) == _origin(first) else None)
            try:
                if response.status not in _REDIRECTS:
                    _check_status(url, response, has_secret=authorization is not None)
                    return _save(url, response, path, deadline)
                location = response.headers.get("Location")
            finally:
                response.close()
        if not location:
            raise BadInput(Reason.SOURCE_NOT_FOUND, f"{url}: status {response.status} without a Location")
        url = urljoin(url, location)
    raise BadInput(Reason.SOURCE_NOT_FOUND, f"{url}: more than {MAX_REDIRECTS} redirects")


def _connect(url: str, policy: Policy, resolver: Resolve) -> urllib3.HTTPConnectionPool:
    """Return a connection to an address of the URL's host that the policy permits; all of them must be."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise _forbidden(url, f"is no URL: {error}") from error
    if parts.scheme not in ("http", "https"):
        raise _forbidden(url, f"has the scheme {parts.scheme!r}; http and https are allowed")
    if parts.username is not None or parts.password is not None or "@" in parts.netloc or "\\" in url:
        raise _forbidden(url, "has user information")
    name = host.rstrip(".").lower()
    if not name:
        raise _forbidden(url, "has no host")
    try:
        found = [ipaddress.ip_address(one) for one in resolver(name, port)]
    except OSError as error:
        raise PassingFault(
            Reason.SOURCE_UNAVAILABLE, f"{url}: the host {host!r} cannot be resolved: {error}"
        ) from error
    for address in found:
        if not policy.permits(address):
            way_out = f"; {HTTP_NETWORKS_VARIABLE} of the operator allows more"
            raise _forbidden(url, f"leads to {address}, which is not public{way_out}")
    timeout = Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
    if parts.scheme == "https":
        return urllib3.HTTPSConnectionPool(
            str(found[0]), port, timeout=timeout, retries=False, server_hostname=name, assert_hostname=name
        )
    return urllib3.HTTPConnectionPool(str(found[0]), port, timeout=timeout, retries=False)


def _forbidden(url: str, problem: str) -> BadInput:
    return BadInput(Reason.ADDRESS_FORBIDDEN, f"{url} {problem}")


def _origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port; `_connect` has judged the URL before."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".").lower()
    return parts.scheme, host, parts.port or (443 if parts.scheme == "https" else 80)


def _get(pool: urllib3.HTTPConnectionPool, url: str, authorization: str | None) -> urllib3.BaseHTTPResponse:
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {"Host": parts.netloc, "Accept-Encoding": "identity", "User-Agent": "mlops-operator"}
    if authorization is not None:
        headers["Authorization"] = authorization
    try:
        return pool.urlopen("GET", target, headers=headers, redirect=False, preload_content=False, decode_content=False)
    except urllib3.exceptions.HTTPError as error:
        raise PassingFault(Reason.SOURCE_UNAVAILABLE, f"{url}: {error}") from error


def _check_status(url: str, response: urllib3.BaseHTTPResponse, *, has_secret: bool) -> None:
    status = response.status
    if status == 200:
        return
    if status in (401, 403):
        problem = "refuses the credentials" if has_secret else "wants credentials"
        raise BadInput(
            Reason.ACCESS_DENIED, f"{url}: status {status}: the server {problem}: see spec.source.http.secretRef"
        )
    if status in (408, 425, 429) or status >= 500:
        raise PassingFault(Reason.SOURCE_UNAVAILABLE, f"{url}: status {status}")
    raise BadInput(Reason.SOURCE_NOT_FOUND, f"{url}: status {status}")


def _save(url: str, response: urllib3.BaseHTTPResponse, path: Path, deadline: float) -> str:
    seen, size = hashlib.sha256(), 0
    try:
        with path.open("wb") as sink:
            for chunk in response.stream(1 << 20, decode_content=False):
                size += len(chunk)
                if size > MAX_BYTES:
                    raise BadInput(Reason.FORMAT_ERROR, f"{url}: the file is larger than {MAX_BYTES >> 30} GiB")
                if time.monotonic() > deadline:
                    raise PassingFault(Reason.SOURCE_UNAVAILABLE, f"{url}: not there after {WHOLE_SECONDS:.0f} s")
                seen.update(chunk)
                sink.write(chunk)
    except urllib3.exceptions.HTTPError as error:
        raise PassingFault(Reason.SOURCE_UNAVAILABLE, f"{url}: cut off after {size} bytes: {error}") from error
    return seen.hexdigest()
