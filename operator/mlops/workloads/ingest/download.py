"""A file from a web server, in a way that reaches no address that the public cannot reach.

The host's name is resolved once, every address of it is judged, and the connection goes to a judged address: a name
that gives another answer the second time leads nowhere. Each redirect goes through the same.

One deadline holds from the first connection to the last byte, redirects included: when it is over the connection is
shut down, whatever it is waiting for, so that a server which sends a byte a second gains nothing.
"""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.util import Timeout

from mlops.api.dataset import HttpSource
from mlops.api.environment import BadVariable
from mlops.api.pod_environment import IngestSettings
from mlops.api.reasons import Reason
from mlops.api.task_variables import HTTP_NETWORKS_VARIABLE
from mlops.workloads.floor.pod import BadInput, PassingFault
from mlops.workloads.ingest.addresses import Address, Network, carried, is_public
from mlops.workloads.ingest.locate import Delivered

MAX_REDIRECTS = 5
MAX_BYTES = 64 << 30
CONNECT_SECONDS, READ_SECONDS, WHOLE_SECONDS = 10.0, 60.0, 6 * 3600.0
_REDIRECTS = {301, 302, 303, 307, 308}

Resolve = Callable[[str, int], list[str]]


def resolve(host: str, port: int) -> list[str]:
    """Return every address of a host. Raises OSError."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


@dataclass(frozen=True)
class Policy:
    """Which addresses may be reached."""

    allowed: tuple[Network, ...] = ()
    # The option or setting, of the place where this runs, that allows more.
    setting: str = f"{HTTP_NETWORKS_VARIABLE} of the operator"

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Policy:
        """Read MLOPS_HTTP_ALLOWED_NETWORKS: CIDRs separated by commas. Raises BadInput."""
        try:
            read = IngestSettings.read(environ)
            # Beside a folder for buckets there is no cluster: it is `mlops run`.
            return cls(read.http_networks, *(["--allow-network of mlops run"] if read.buckets else []))
        except BadVariable as error:
            raise BadInput(Reason.ADDRESS_FORBIDDEN, str(error)) from error

    def permits(self, address: Address) -> bool:
        """Return whether the address is public or expressly allowed."""
        address = carried(address)
        if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
            return False
        return is_public(address) or any(address in network for network in self.allowed)


class _Deadline:
    """Shuts the watched connection down when the time is over, whatever it waits for: TLS, a head, a byte."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.over = seconds, False
        self._lock, self._socket = threading.Lock(), socket.socket()
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._timer.cancel()
        with self._lock:
            self._socket.close()

    def watch(self, connection: socket.socket) -> None:
        # A copy: TLS takes the file descriptor out of the socket that it is given.
        with self._lock:
            self._socket.close()
            self._socket = connection.dup()
            if self.over:
                _shut(self._socket)

    def _end(self) -> None:
        with self._lock:
            self.over = True
            _shut(self._socket)

    def check(self, url: str) -> None:
        """Raise PassingFault if the time is over."""
        if self.over:
            raise PassingFault(Reason.SOURCE_UNAVAILABLE, f"{url}: not there after {self.seconds:g} s")


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):  # It is not connected, or no more.
        connection.shutdown(socket.SHUT_RDWR)


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


def file_at(url: str, policy: Policy, path: Path, resolver: Resolve = resolve, authorization: str | None = None) -> str:
    """Save the file at a URL whose content is not known yet; return its sha256 in hex. Raises as `http_file`."""
    return _fetch(url, policy, path, resolver, authorization)


def _fetch(url: str, policy: Policy, path: Path, resolver: Resolve, authorization: str | None) -> str:
    first = url
    with _Deadline(WHOLE_SECONDS) as deadline:
        for _ in range(MAX_REDIRECTS + 1):
            deadline.check(url)
            with _connect(url, policy, resolver, deadline) as pool:
                # A redirect may lead anywhere, also to the same host without TLS: what is secret stays where it was
                # meant.
                response = _get(pool, url, authorization if _origin(url) == _origin(first) else None, deadline)
                try:
                    if response.status not in _REDIRECTS:
                        _check_status(url, response, has_secret=authorization is not None)
                        return _save(url, response, path, deadline)
                    location = response.headers.get("Location")
                finally:
                    response.close()
            if not location:
                raise BadInput(Reason.SOURCE_NOT_FOUND, f"{url}: status {response.status} without a Location")
            url = _joined(url, location)
    raise BadInput(Reason.SOURCE_NOT_FOUND, f"{url}: more than {MAX_REDIRECTS} redirects")


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise _forbidden(url, f"leads to {location[:200]!r}, which is no URL: {error}") from error


def _connect(url: str, policy: Policy, resolver: Resolve, deadline: _Deadline) -> urllib3.HTTPConnectionPool:
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
    name = _ascii(url, host.rstrip(".").lower())
    try:
        found = [ipaddress.ip_address(one) for one in resolver(name, port)]
    except ValueError as error:
        raise _forbidden(url, f"has the host {host!r}, which cannot be resolved: {error}") from error
    except OSError as error:
        raise PassingFault(
            Reason.SOURCE_UNAVAILABLE, f"{url}: the host {host!r} cannot be resolved: {error}"
        ) from error
    if not found:
        raise PassingFault(Reason.SOURCE_UNAVAILABLE, f"{url}: the host {host!r} has no address")
    for address in found:
        if not policy.permits(address):
            raise _forbidden(url, f"leads to {address}, which is not public; {policy.setting} allows more")
    timeout = Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
    pool: urllib3.HTTPConnectionPool
    if parts.scheme == "https":
        pool = urllib3.HTTPSConnectionPool(
            str(found[0]), port, timeout=timeout, retries=False, server_hostname=name, assert_hostname=name
        )
    else:
        pool = urllib3.HTTPConnectionPool(str(found[0]), port, timeout=timeout, retries=False)
    pool.ConnectionCls = _watched(pool.ConnectionCls, deadline)
    return pool


def _watched(connection: Any, deadline: _Deadline) -> Any:
    class Watched(connection):  # type: ignore[misc]
        def _new_conn(self) -> socket.socket:
            opened: socket.socket = super()._new_conn()
            deadline.watch(opened)
            return opened

    return Watched


def _ascii(url: str, name: str) -> str:
    """Return a host's name as it goes over the wire."""
    if not name:
        raise _forbidden(url, "has no host")
    try:
        return name.encode("idna").decode()
    except UnicodeError as error:
        raise _forbidden(url, f"has the host {name[:100]!r}, which is none: {error}") from error


def _forbidden(url: str, problem: str) -> BadInput:
    return BadInput(Reason.ADDRESS_FORBIDDEN, f"{url} {problem}")


def _origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port; `_connect` has judged the URL before."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".").lower()
    return parts.scheme, host, parts.port or (443 if parts.scheme == "https" else 80)


def _get(
    pool: urllib3.HTTPConnectionPool, url: str, authorization: str | None, deadline: _Deadline
) -> urllib3.BaseHTTPResponse:
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = parts.netloc
    if not host.isascii():
        name = _ascii(url, (parts.hostname or "").rstrip(".").lower())
        host = f"{name}:{parts.port}" if parts.port is not None else name
    headers = {"Host": host, "Accept-Encoding": "identity", "User-Agent": "mlops-operator"}
    if authorization is not None:
        headers["Authorization"] = authorization
    try:
        return pool.urlopen("GET", target, headers=headers, redirect=False, preload_content=False, decode_content=False)
    except (ValueError, http.client.InvalidURL) as error:
        raise _forbidden(url, f"cannot be asked for: {error}") from error
    except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
        deadline.check(url)
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


def _save(url: str, response: urllib3.BaseHTTPResponse, path: Path, deadline: _Deadline) -> str:
    seen, size = hashlib.sha256(), 0
    with path.open("wb") as sink:
        for chunk in _chunks(url, response, deadline):
            size += len(chunk)
            if size > MAX_BYTES:
                raise BadInput(Reason.FORMAT_ERROR, f"{url}: the file is larger than {MAX_BYTES >> 30} GiB")
            seen.update(chunk)
            sink.write(chunk)
    return seen.hexdigest()


def _chunks(url: str, response: urllib3.BaseHTTPResponse, deadline: _Deadline) -> Iterator[bytes]:
    size = 0
    try:
        for chunk in response.stream(1 << 20, decode_content=False):
            deadline.check(url)
            size += len(chunk)
            yield chunk
    except (urllib3.exceptions.HTTPError, http.client.HTTPException, ValueError, OSError) as error:
        deadline.check(url)
        raise PassingFault(Reason.SOURCE_UNAVAILABLE, f"{url}: cut off after {size} bytes: {error}") from error
    # A connection that was shut down looks like one whose file is over.
    deadline.check(url)
