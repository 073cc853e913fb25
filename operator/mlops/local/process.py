"""One container's process, under a supervisor that kills it when this program dies, however it dies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlops.local import supervise

_KILLED = 9


@dataclass(frozen=True)
class Exit:
    """How a process ended; one that a signal ended has 128 plus its number as code, as in a shell."""

    code: int
    signal: int | None = None


class Process:
    """A running command."""

    def __init__(self, popen: subprocess.Popen[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self._popen, self._reader, self._writer = popen, reader, writer
        self._ended = asyncio.ensure_future(self._wait())

    @classmethod
    async def start(cls, command: Sequence[str], *, environ: Mapping[str, str], folder: Path, log: Path) -> Process:
        """Start `command` in `folder` with just `environ`; its output is appended to `log`.

        Raises OSError if the kernel refuses it, as it does for an environment that is too large.
        """
        ours, theirs = socket.socketpair()
        with contextlib.ExitStack() as on_failure, theirs, log.open("ab") as output:
            on_failure.callback(ours.close)
            popen = subprocess.Popen(
                [sys.executable, "-I", "-S", supervise.__file__, str(theirs.fileno()), *command],
                env=dict(environ),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
            # Without a runtime's end of the socket the supervisor kills what it started, and ends.
            on_failure.callback(popen.wait)
            on_failure.callback(ours.close)
            reader, writer = await asyncio.open_connection(sock=ours)
            on_failure.pop_all()
        return cls(popen, reader, writer)

    async def wait(self) -> Exit:
        """Return how it ended, once everything that it started is gone too."""
        return await asyncio.shield(self._ended)

    async def stop(self, grace: float) -> Exit:
        """End it: SIGTERM, after `grace` seconds SIGKILL."""
        self._order(b"T")
        try:
            return await asyncio.wait_for(self.wait(), grace)
        except TimeoutError:
            self._order(b"K")
            return await self.wait()

    def _order(self, order: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(order)

    async def _wait(self) -> Exit:
        try:
            said = (await self._reader.read()).split()
        except ConnectionError:
            said = []
        self._writer.close()
        # The supervisor's end of the socket closes when it exits: this does not block.
        self._popen.wait()
        if len(said) < 2:
            # The supervisor was killed. Its child is gone with it, by the kernel's hand; the rest of the group is not.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if said:
                    os.killpg(int(said[0]), _KILLED)
            return Exit(128 + _KILLED, _KILLED)
        code = os.waitstatus_to_exitcode(int(said[1]))
        return Exit(128 - code, -code) if code < 0 else Exit(code)
