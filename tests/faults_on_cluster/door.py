"""A door between pods and a server of this machine: open, shut in the middle of everything, open again."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
from collections.abc import Iterator

CHUNK = 1 << 16


class Door:
    """Passes bytes from `address` (where pods come) to `target`, which may be changed for connections to come.

    Shut, it resets what goes through it and refuses what comes.
    """

    def __init__(self, host: str, target: tuple[str, int]) -> None:
        self.target = target
        self._guard = threading.Lock()
        self._passing: set[socket.socket] = set()
        self._listener = socket.create_server((host, 0))
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        self._listen()

    @property
    def endpoint(self) -> str:
        return f"http://{self.address[0]}:{self.address[1]}"

    def shut(self) -> None:
        """Nothing goes through any more."""
        # Closing alone would leave the thread that waits for connections with one more.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._guard:
            passing = list(self._passing)
        for each in passing:
            with contextlib.suppress(OSError):
                # Lingering for no time makes of the close a reset.
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                each.shutdown(socket.SHUT_RDWR)

    def open(self) -> None:
        """Let through what comes, at the same address."""
        self._listener = socket.create_server(self.address)
        self._listen()

    def _listen(self) -> None:
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return  # shut
            threading.Thread(target=self._connection, args=(client,), daemon=True).start()

    def _connection(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(self.target) as server:
            ends = (client, server)
            with self._guard:
                self._passing.update(ends)
            try:
                self._pass(client, server)
            finally:
                with self._guard:
                    self._passing.difference_update(ends)

    def _pass(self, client: socket.socket, server: socket.socket) -> None:
        while True:
            for source in select.select([client, server], [], [])[0]:
                data = source.recv(CHUNK)
                if not data:
                    return
                (server if source is client else client).sendall(data)


@contextlib.contextmanager
def door(host: str, target: tuple[str, int]) -> Iterator[Door]:
    """An open door on `host`."""
    made = Door(host, target)
    try:
        yield made
    finally:
        made.shut()
