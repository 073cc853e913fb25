"""The whole loop in one process: the real engine and planners, the local cluster, and pods that run the real workloads.

A pod of ours is not a process of its own here but a call of the same `main` with the same environment, so that a
hundred of them take seconds. Model servers and a user's own containers are processes, as always.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mlops.api import labels, tasks
from mlops.api.base import format_time
from mlops.cli.settings import local_settings
from mlops.cli.state import State
from mlops.engine.planners import PLANNERS
from mlops.local import pods
from mlops.local.clock import VirtualClock
from mlops.local.process import Exit, Process
from mlops.local.runtime import LocalRuntime
from mlops.planning.plan import Key
from mlops.workloads.__main__ import main

Object = dict[str, Any]
NAMESPACE = "default"
_SETTLE_SECONDS = 240.0


class _Call:
    """A pod's container that ran to its end when it was started."""

    def __init__(self, code: int) -> None:
        self._exit = Exit(code)

    async def wait(self) -> Exit:
        return self._exit

    async def stop(self, grace: float) -> Exit:
        return self._exit


class _ProcessOrCall:
    """Stands for `Process`: what is ours and ends by itself is called, the rest is started."""

    @classmethod
    async def start(
        cls, command: Sequence[str], *, environ: Mapping[str, str], folder: Path, log: Path
    ) -> _Call | Process:
        serves = json.loads(environ.get(tasks.TASK_VARIABLE, "{}")).get("task") == "serve"
        if "mlops.workloads" not in command or serves:
            return await Process.start(command, environ=environ, folder=folder, log=log)
        with (
            log.open("a") as output,
            _surroundings(environ),
            redirect_stdout(output),
            redirect_stderr(output),
            warnings.catch_warnings(action="default"),
        ):
            return _Call(main())


@contextmanager
def _surroundings(environ: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class Loop:
    """What a user does with it: put files, apply manifests, wait, look."""

    def __init__(self, state: State, runtime: LocalRuntime, clock: VirtualClock) -> None:
        self.state, self.runtime, self._clock = state, runtime, clock

    def put(self, name: str, files: Mapping[str, bytes]) -> None:
        """Make these the files under s3://raw/<name>/."""
        folder = self.state.buckets / "raw" / name
        folder.mkdir(parents=True, exist_ok=True)
        for file in folder.iterdir():
            file.unlink()
        for file_name, content in files.items():
            (folder / file_name).write_bytes(content)

    async def apply(self, manifest: Object, *, requeue_at: bool = False) -> None:
        """Apply a manifest, a while later; with `requeue_at` a Dataset's source is asked to be looked at again."""
        await self.runtime.advance(self._clock.now() + timedelta(seconds=30))
        self.runtime.apply(manifest)
        if requeue_at:
            key = self._key(manifest)
            self.runtime.cluster.annotate(key, {labels.REQUESTED_AT: format_time(self._clock.now())})

    async def settled(self) -> None:
        """Wait until nothing is under way."""
        await self.runtime.settled(_SETTLE_SECONDS)

    def ready(self, manifest: Object) -> tuple[str, str, str]:
        """Return status, reason and message of an object's Ready condition."""
        present = self.present(manifest)
        assert present is not None
        found = next(each for each in present["status"]["conditions"] if each["type"] == "Ready")
        assert present["status"]["observedGeneration"] == present["metadata"]["generation"]
        return found["status"], found["reason"], found["message"]

    def present(self, manifest: Object) -> Object | None:
        """Return the object that a manifest names, as it is now."""
        return self.runtime.get(self._key(manifest))

    def logs(self) -> Iterator[tuple[str, str]]:
        """Yield name and text of the log of every pod so far."""
        for file in sorted(self.state.logs.rglob("*.log")):
            yield file.relative_to(self.state.logs).as_posix(), file.read_text("utf-8", "replace")

    def _key(self, manifest: Object) -> Key:
        return Key(manifest["kind"], NAMESPACE, manifest["metadata"]["name"])


@asynccontextmanager
async def loop_in(folder: Path, images: Mapping[str, Path] | None = None) -> AsyncIterator[Loop]:
    """A loop of its own in a folder."""
    state, clock = State(folder), VirtualClock(datetime(2026, 3, 1, 12, 0, tzinfo=UTC))
    runtime = LocalRuntime(
        folder, planners=PLANNERS, settings=local_settings(state, {}), clock=clock, images=images or {}, pods=1
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pods, "Process", _ProcessOrCall)
        async with runtime:
            yield Loop(state, runtime, clock)
