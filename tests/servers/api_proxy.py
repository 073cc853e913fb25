"""A proxy in front of a real kube-apiserver that misbehaves as told, while it runs, and notes every write.

It ends TLS on both sides, so it sees requests, not bytes: it can answer in the server's place, put anything into a
watch stream, fall silent without closing, refuse connections, be slow, or strike at one chosen write.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Literal
from urllib.parse import urlsplit

import yaml

WRITES = ("POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True)
class Requests:
    """Which requests a fault is for: `path` is searched in the path, `watch` is whether it is a watch (None: both)."""

    path: str = ""
    methods: tuple[str, ...] = ()
    watch: bool | None = None

    def take(self, request: Request) -> bool:
        return (
            (not self.methods or request.method in self.methods)
            and (self.watch is None or self.watch == request.watch)
            and re.search(self.path, request.path) is not None
        )


@dataclass(frozen=True)
class Answer:
    """Answer with this status in the server's place; streams that are open are ended when it begins."""

    status: int
    reason: str
    message: str
    retry_after: int | None = None

    def body(self) -> bytes:
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        return json.dumps({**status, "code": self.status, "reason": self.reason, "message": self.message}).encode()


@dataclass(frozen=True)
class InStream:
    """Put `data` into a watch stream after `after` bytes of it, then `end` it, `reset` the connection, or `go on`."""

    data: bytes
    after: int = 0
    then: Literal["end", "reset", "go on"] = "end"


@dataclass(frozen=True)
class Silence:
    """Pass nothing on any more over the connections that are open, and do not close them, not even afterwards.

    That is what a router does that has forgotten them. `everywhere`: new connections get no answer either, while it
    lasts.
    """

    everywhere: bool = False


@dataclass(frozen=True)
class Refuse:
    """Refuse connections and reset those that are open."""


@dataclass(frozen=True)
class Slow:
    """Wait `seconds` plus up to `jitter` before each request, and reset a share of the connections instead, half of
    them when the server has already done what was asked."""

    seconds: float
    jitter: float = 0.0
    resets: float = 0.0


Fault = Answer | InStream | Silence | Refuse | Slow


def error_event(status: int, reason: str, message: str) -> InStream:
    """The watch event by which a server ends a stream for a reason."""
    failure = json.loads(Answer(status, reason, message).body())
    return InStream(json.dumps({"type": "ERROR", "object": failure}).encode() + b"\n")


@dataclass(frozen=True)
class Request:
    """One request as it came; `at` is by time.time(), `status` what the client was answered (0: nothing)."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""
    at: float = field(default_factory=time.time)

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def watch(self) -> bool:
        return "watch=true" in self.target or "watch=1" in self.target

    @property
    def writes(self) -> bool:
        return self.method in WRITES

    @property
    def user_agent(self) -> str:
        return self.headers.get("user-agent", "")

    @property
    def body_hash(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


@dataclass
class Write:
    """A write that was seen: the request, when it was passed on, and the server's answer (0: none)."""

    request: Request
    status: int = 0
    sent: float = 0.0
    answered: float = 0.0

    def __str__(self) -> str:
        return f"{self.request.method} {self.request.path} -> {self.status}"


@dataclass
class Strike:
    """Call `act` at the `number`th counted write (from 1), before the server has it or after it was carried out but
    before the client knows; the client gets no answer."""

    number: int
    timestamp: Literal["before", "after"]
    act: Callable[[], None]
    struck: threading.Event = field(default_factory=threading.Event)


@dataclass
class _Active:
    fault: Fault
    to: Requests
    times: int | None


class ApiProxy:
    """Listens at `url`; a client trusts `ca` and shows `token`, which stands for the administrator's.

    `writes` are all writes so far; `requests` counts by method. `counted` says which writes a Strike counts.
    """

    def __init__(self, server: str, server_token: str, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.ca, key = folder, folder / "proxy.crt", folder / "proxy.key"
        _certificate(self.ca, key)
        self._accept = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._accept.load_cert_chain(self.ca, key)
        self._connect = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # It signed its own certificate just now, on this machine.
        self._connect.check_hostname = False
        self._connect.verify_mode = ssl.CERT_NONE
        self._server, self._server_token = urlsplit(server), server_token
        self.token = "first"
        self.port = 0
        self.writes: list[Write] = []
        self.requests: dict[str, int] = {}
        self.refused_tokens = 0
        # Watches that the server itself ended because it has forgotten where they were.
        self.expired: list[str] = []
        self.counted: Callable[[Request], bool] = lambda request: request.writes
        self.strike: Strike | None = None
        self._struck = 0
        self._random = Random(1)
        self._active: list[_Active] = []
        self._connections: set[_Connection] = set()
        self._quiet = False
        self._loop = asyncio.new_event_loop()
        self._listener: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def streams(self) -> int:
        """How many watch streams are open, those that fell silent not included."""
        return sum(each.stream is not None and not each.silent for each in list(self._connections))

    def kubeconfig(self) -> Path:
        """The kubeconfig file of a client behind this proxy; its token is read from a file."""
        self.rotate_token(self.token)
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": self.url, "certificate-authority": str(self.ca)}}],
            "users": [{"name": "u", "user": {"tokenFile": str(self.folder / "token")}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        file = self.folder / "kubeconfig"
        file.write_text(yaml.safe_dump(config), "utf-8")
        return file

    def rotate_token(self, token: str) -> None:
        """Take only this token from now on, and have it in the client's file."""
        (self.folder / "token").write_text(token, "utf-8")
        self.token = token

    @contextmanager
    def fault(self, fault: Fault, to: Requests | None = None, times: int | None = None) -> Iterator[None]:
        """Misbehave inside the `with`, for the requests that match, at most `times` times."""
        active = _Active(fault, to or Requests(), times)
        self._call(self._begin(active))
        try:
            yield
        finally:
            self._call(self._end(active))

    def strike_at(self, number: int, timestamp: Literal["before", "after"], act: Callable[[], None]) -> Strike:
        """Have the `number`th counted write from now on struck."""
        self._struck = 0
        self.strike = Strike(number, timestamp, act)
        return self.strike

    # --- in the thread of the loop ---

    def serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._loop.run_forever()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def close(self) -> None:
        async def end() -> None:
            if self._listener is not None:
                self._listener.close()
            for connection in list(self._connections):
                connection.reset()

        self._call(end())
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _call(self, coroutine: object) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)  # type: ignore[arg-type]

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(
            self._connected, "127.0.0.1", self.port, ssl=self._accept, reuse_address=True, ssl_shutdown_timeout=1
        )
        self.port = self._listener.sockets[0].getsockname()[1]

    async def _begin(self, active: _Active) -> None:
        self._active.append(active)
        fault = active.fault
        streams = [each for each in self._connections if each.stream is not None and active.to.take(each.stream)]
        if isinstance(fault, Answer):
            for connection in streams:
                connection.end_stream()
        elif isinstance(fault, InStream) and fault.after == 0:
            for connection in streams:
                if self._spend(active):
                    connection.put(fault)
        elif isinstance(fault, Silence):
            self._quiet = fault.everywhere
            for connection in self._connections:
                connection.silent = True
        elif isinstance(fault, Refuse):
            if self._listener is not None:
                self._listener.close()
            for connection in list(self._connections):
                connection.reset()

    async def _end(self, active: _Active) -> None:
        self._active.remove(active)
        if isinstance(active.fault, Refuse):
            await self._listen()
        if isinstance(active.fault, Silence):
            self._quiet = False

    def _spend(self, active: _Active) -> bool:
        if active.times is None:
            return True
        active.times -= 1
        return active.times >= 0

    def find(self, kind: type[Fault], request: Request) -> Fault | None:
        """The fault of that kind that hits the request, if one does."""
        for active in self._active:
            if isinstance(active.fault, kind) and active.to.take(request) and self._spend(active):
                return active.fault
        return None

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self, reader, writer)
        connection.silent = self._quiet
        self._connections.add(connection)
        try:
            await connection.run()
        except (OSError, asyncio.IncompleteReadError, ssl.SSLError, ValueError):
            connection.reset()  # one of the ends went away: so does the other
        except asyncio.CancelledError:
            pass
        finally:
            self._connections.discard(connection)
            connection.close()

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the server."""
        return await asyncio.open_connection(self._server.hostname, self._server.port, ssl=self._connect, limit=1 << 26)

    def authorization(self, request: Request) -> str | None:
        """What to tell the server in place of the client's token; None if it is not the valid one."""
        return (
            f"Bearer {self._server_token}" if request.headers.get("authorization") == f"Bearer {self.token}" else None
        )

    def noted(self, request: Request) -> Write | None:
        self.requests[request.method] = self.requests.get(request.method, 0) + 1
        if not request.writes:
            return None
        write = Write(request)
        self.writes.append(write)
        return write

    def struck_by(self, request: Request) -> Strike | None:
        strike = self.strike
        if strike is None or not self.counted(request):
            return None
        self._struck += 1
        return strike if self._struck == strike.number else None

    def chance(self) -> float:
        return self._random.random()


class _Connection:
    """One client's connection, and the connection to the server that belongs to it."""

    def __init__(self, proxy: ApiProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy, self._reader, self._writer = proxy, reader, writer
        self._upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.stream: Request | None = None
        self.silent = False

    async def run(self) -> None:
        while True:
            request = await self._read()
            if request is None:
                return
            await self._hold()
            write = self._proxy.noted(request)
            if isinstance(answer := self._proxy.find(Answer, request), Answer):
                await self._answer(answer, write)
                continue
            if self._proxy.authorization(request) is None:
                self._proxy.refused_tokens += 1
                await self._answer(Answer(401, "Unauthorized", "Unauthorized"), write)
                continue
            late = False
            if isinstance(slow := self._proxy.find(Slow, request), Slow):
                await asyncio.sleep(slow.seconds + slow.jitter * self._proxy.chance())
                if self._proxy.chance() < slow.resets:
                    late = self._proxy.chance() < 0.5
                    if not late:
                        raise ConnectionResetError
            await self._pass(request, write, lose_answer=late)

    async def _pass(self, request: Request, write: Write | None, *, lose_answer: bool) -> None:
        strike = self._proxy.struck_by(request)
        if strike and strike.timestamp == "before":
            self._strike(strike)
        if write:
            write.sent = time.time()
        head, reader = await self._ask(request)
        status = int(head.split(b" ", 2)[1])
        if request.watch and status == 410:
            self._proxy.expired.append(request.path)
        headers = _headers(head)
        if request.watch and status == 200:
            await self._pass_stream(request, head, reader)
            return
        body = await _body(reader, headers, status)
        if write:
            write.status, write.answered = status, time.time()
        if strike:
            self._strike(strike)
        if lose_answer:
            raise ConnectionResetError
        await self._hold()
        first, *rest = head.decode("latin-1").split("\r\n")
        kept = [line for line in rest if line and not re.match("(?i)(transfer-encoding|content-length):", line)]
        kept.append(f"Content-Length: {len(body)}")
        self._writer.write("\r\n".join([first, *kept, "", ""]).encode("latin-1") + body)
        await self._writer.drain()

    def _strike(self, strike: Strike) -> None:
        strike.act()
        strike.struck.set()
        raise ConnectionResetError

    async def _ask(self, request: Request) -> tuple[bytes, asyncio.StreamReader]:
        """Send the request to the server; one that closed its idle connection is asked over a new one."""
        fresh = self._upstream is None
        if self._upstream is None:
            self._upstream = await self._proxy.open()
        reader, writer = self._upstream
        dropped = ("accept-encoding", "authorization", "content-length", "transfer-encoding", "connection")
        lines = [f"{name}: {value}" for name, value in request.headers.items() if name not in dropped]
        lines.append(f"authorization: {self._proxy.authorization(request)}")
        if request.writes:
            lines.append(f"content-length: {len(request.body)}")
        try:
            writer.write("\r\n".join([f"{request.method} {request.target} HTTP/1.1", *lines, "", ""]).encode())
            writer.write(request.body)
            await writer.drain()
            return await reader.readuntil(b"\r\n\r\n"), reader
        except (OSError, asyncio.IncompleteReadError):
            self._upstream = None
            if fresh or request.writes:
                raise
            return await self._ask(request)

    async def _pass_stream(self, request: Request, head: bytes, reader: asyncio.StreamReader) -> None:
        fault = self._proxy.find(InStream, request)
        self.stream, passed = request, 0
        self._writer.write(head)
        gone = asyncio.create_task(self._reader.read(1))
        try:
            while True:
                chunk = asyncio.create_task(_chunk(reader))
                await asyncio.wait({chunk, gone}, return_when=asyncio.FIRST_COMPLETED)
                if gone.done() and not self.silent:
                    chunk.cancel()
                    await asyncio.wait({chunk})
                    raise ConnectionResetError
                data = await chunk
                if b'"type":"ERROR"' in data and b'"code":410' in data:
                    self._proxy.expired.append(request.path)
                await self._hold()
                passed += len(data)
                self._chunk(data)
                if isinstance(fault, InStream) and passed >= fault.after:
                    self.put(fault)
                    fault = None
                if not data:
                    return
                await self._writer.drain()
        finally:
            self.stream = None
            # It reads until it has really ended, and the next request is read by another.
            gone.cancel()
            await asyncio.wait({gone})
            if not gone.cancelled():
                gone.exception()

    def put(self, fault: InStream) -> None:
        """Put the fault into the stream that is open."""
        self._chunk(fault.data)
        if fault.then == "end":
            self.end_stream()
        elif fault.then == "reset":
            self.reset()

    def end_stream(self) -> None:
        """End the stream in order, as a server does whose time for it is up."""
        self._chunk(b"")
        self._writer.close()

    def _chunk(self, data: bytes) -> None:
        self._writer.write(b"%x\r\n%s\r\n" % (len(data), data))

    def reset(self) -> None:
        """Reset the connection to the client."""
        with suppress(OSError, AttributeError):
            raw = self._writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def close(self) -> None:
        self._writer.close()
        if self._upstream is not None:
            self._upstream[1].transport.abort()

    async def _hold(self) -> None:
        if self.silent:
            await asyncio.Event().wait()

    async def _answer(self, answer: Answer, write: Write | None) -> None:
        if write:
            write.status = answer.status
        body = answer.body()
        lines = [f"HTTP/1.1 {answer.status} {answer.reason}", "Content-Type: application/json"]
        lines.append(f"Content-Length: {len(body)}")
        if answer.retry_after is not None:
            lines.append(f"Retry-After: {answer.retry_after}")
        self._writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await self._writer.drain()

    async def _read(self) -> Request | None:
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        headers = _headers(head)
        has_body = "content-length" in headers or "transfer-encoding" in headers
        return Request(method, target, headers, await _body(self._reader, headers, 200) if has_body else b"")


def _headers(head: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:] if line)
    return {name.strip().lower(): value.strip() for name, _, value in lines}


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str], status: int) -> bytes:
    if status in (204, 304):
        return b""
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while data := await _chunk(reader):
            body += data
        return body
    return await reader.readexactly(int(headers.get("content-length", 0)))


async def _chunk(reader: asyncio.StreamReader) -> bytes:
    size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
    return (await reader.readexactly(size + 2))[:size]


def _certificate(certificate: Path, key: Path) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def api_proxy(server: str, token: str, folder: Path) -> Iterator[ApiProxy]:
    """A proxy in front of the API server at `server`, whose administrator's token is `token`; it works in `folder`."""
    proxy = ApiProxy(server, token, folder)
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not proxy.port:
        assert time.monotonic() < deadline, "the proxy does not listen"
        time.sleep(0.01)
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join(10)
