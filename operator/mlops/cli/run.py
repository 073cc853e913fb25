"""`mlops run`: the whole loop on one machine, from the manifests that `kubectl apply` takes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import signal
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from mlops.api import tasks
from mlops.api.base import format_time, parse_time
from mlops.api.kinds import KINDS, InvalidObject
from mlops.cli import manifests, scenario, summary
from mlops.cli.errors import UserError
from mlops.cli.progress import View
from mlops.cli.replay import Position, Sender, Stream, Target
from mlops.cli.settings import local_settings
from mlops.cli.state import State
from mlops.engine.cluster import Clock
from mlops.engine.planners import PLANNERS
from mlops.local.clock import RealClock, VirtualClock
from mlops.local.errors import LocalError, NotSettled
from mlops.local.runtime import LocalRuntime
from mlops.planning.plan import Key
from mlops.store.address import open_store

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    paths: tuple[str, ...]
    state: State
    scenario: Path | None = None
    replay: bool = True
    keep_serving: bool = False
    plain: bool = False
    timeout: float = 3600
    allow_networks: tuple[str, ...] = ()
    images: dict[str, Path] = field(default_factory=dict)


def run(options: Options) -> int:
    """Run until everything is settled (and the scenario's stream is over); return the exit code.

    A SIGTERM is a Ctrl-C: everything that was started is stopped, what was done stays.
    """
    documents = manifests.read(options.paths)
    setting = scenario.read(options.scenario) if options.scenario else scenario.beside(options.paths)
    console = Console()
    try:
        return asyncio.run(_Run(options, [d.manifest for d in documents], setting, console).run())
    except LocalError as error:
        raise UserError(str(error)) from error
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("stopped; the same command goes on from here", highlight=False)
        return 130


class _Run:
    def __init__(
        self, options: Options, documents: list[Manifest], setting: scenario.Scenario | None, console: Console
    ) -> None:
        self.options, self.documents, self.setting, self.console = options, documents, setting, console
        self.state = options.state
        replay = setting.replay if setting and options.replay else None
        self.stream = Stream.read(setting.folder, replay) if setting and replay else None
        self.place = _Place(self.state.replay, self.stream) if self.stream else None

    async def run(self) -> int:
        self._deliver()
        clock = VirtualClock(self.place.clock) if self.place else RealClock()
        images = dict(self.options.images)
        if self.setting:
            images = {name: self.setting.folder / folder for name, folder in self.setting.images.items()} | images
        extra = {}
        if self.options.allow_networks:
            extra[tasks.HTTP_NETWORKS_VARIABLE] = ",".join(self.options.allow_networks)
        settings = local_settings(self.state, extra)
        runtime = LocalRuntime(self.state.folder, planners=PLANNERS, settings=settings, clock=clock, images=images)
        _interrupt_on_sigterm()
        async with runtime:
            live = self.console.is_terminal and not self.options.plain
            view = View(self.console, lambda: _objects(runtime), live=live)
            with view.shown():
                refreshing = asyncio.create_task(_keep_refreshing(view))
                try:
                    await self._work(runtime, view, clock)
                finally:
                    refreshing.cancel()
            objects = _objects(runtime)
            self._conclude(objects)
            if self.options.keep_serving:
                await self._serve_on(runtime)
        return 1 if summary.failed(objects) else 0

    def _deliver(self) -> None:
        """Put the scenario's files into their buckets."""
        for put in self.setting.put if self.setting else ():
            deliver(self.setting.folder / put.file, put.uri, self.state)  # type: ignore[union-attr]

    async def _work(self, runtime: LocalRuntime, view: View, clock: Clock) -> None:
        for document in self.documents:
            try:
                outcome = runtime.apply(document)
            except InvalidObject as error:
                raise UserError(str(error)) from error
            view.say(f"{document['kind']} {document['metadata']['name']} {outcome}")
        await self._settle(runtime)
        if self.stream is not None and self.place is not None:
            await self._replay(runtime, view, clock, self.stream, self.place)

    async def _settle(self, runtime: LocalRuntime) -> None:
        try:
            await runtime.settled(self.options.timeout)
        except NotSettled as error:
            raise UserError(f"{error}: look at it with `mlops get all -o wide --state {self.state.folder}`") from error

    async def _replay(self, runtime: LocalRuntime, view: View, clock: Clock, stream: Stream, place: _Place) -> None:
        """Send the stream check by check: the clock stands at a check until all that it sets off is done.

        So the outcome depends on the data and not on this machine's speed. What was sent is on record before the
        clock moves: a run that was killed goes on with the same requests to the same versions.
        """
        replay = stream.replay
        service = Key("Service", self._namespace(), f"{replay.model}-{replay.stage}")
        view.replaying(len(stream), place.position.rows)

        def url() -> Target:
            address = _url(runtime.get(service))
            if address is None:
                raise UserError(f"{replay.model} is not served in stage {replay.stage}: nothing to send requests to")
            return Target(address, replay.model)

        sender = Sender(stream, url, lambda count: view.replayed(count, clock.now()))
        end = stream.last
        while not place.over:
            tick = runtime.next_tick()
            moment = min(tick, end) if tick is not None else end
            place.position = await asyncio.to_thread(sender.until, moment, place.position)
            place.save(moment, over=moment >= end)
            await runtime.advance(moment)
            await self._settle(runtime)
            view.replayed(0, clock.now())

    def _namespace(self) -> str:
        namespaces = {d["metadata"].get("namespace", "default") for d in self.documents}
        return namespaces.pop() if len(namespaces) == 1 else "default"

    def _conclude(self, objects: list[Manifest]) -> None:
        store = open_store(self.state.store.resolve().as_uri(), os.environ)
        reports = summary.lay_out_reports(objects, store, self.state.reports)
        text = summary.summary(objects)
        if text:
            self.console.print(f"\n{text}", highlight=False, markup=False, soft_wrap=True)
        if reports:
            self.console.print(f"\n{reports} drift reports: {self.state.reports}/", highlight=False, markup=False)
        self.console.print(
            f"state: {self.state.folder}   look: mlops get all --state {self.state.folder}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )

    async def _serve_on(self, runtime: LocalRuntime) -> None:
        for service in runtime.list("Service"):
            self.console.print(f"serving {service['metadata']['name']} at {_url(service)}", highlight=False)
        self.console.print("Ctrl-C stops it", highlight=False)
        await asyncio.Event().wait()


class _Place:
    """How far the replay of a stream has come, on record in the state folder."""

    def __init__(self, path: Path, stream: Stream) -> None:
        self._path = path
        self._identity = _identity(stream)
        self.position, self.clock, self.over = Position(), stream.first, False
        if path.exists():
            saved = json.loads(path.read_text())
            if saved["stream"] == self._identity:
                self.position = Position(saved["rows"], saved["labels"])
                self.clock, self.over = parse_time(saved["clock"]), saved["over"]

    def save(self, moment: datetime, *, over: bool) -> None:
        """Record that everything up to `moment` was sent; a file half written is never seen."""
        self.over = over
        content = {
            "stream": self._identity,
            "rows": self.position.rows,
            "labels": self.position.labels,
            "clock": format_time(moment),
            "over": over,
        }
        beside = self._path.with_suffix(".tmp")
        beside.write_text(json.dumps(content))
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(self._path)


def _identity(stream: Stream) -> str:
    """Return what tells one replay from another: its settings and its rows."""
    digest = hashlib.sha256(stream.replay.model_dump_json().encode())
    digest.update(stream.frame.hash_rows(seed=0).to_numpy().tobytes())
    return digest.hexdigest()


def deliver(file: Path, uri: str, state: State) -> Path:
    """Put `file` at an s3:// URI of the local buckets, whole or not at all; one that is there already is left."""
    if not file.is_file():
        raise UserError(f"{file}: there is no such file")
    name, _, key = uri.removeprefix("s3://").partition("/")
    place = state.buckets / name / (key + file.name if key.endswith("/") or not key else key)
    if place.is_file() and _sha256(place) == _sha256(file):
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    # Not in the bucket: a copy that was cut off must not be read as data.
    beside = state.folder / f".{place.name}.part"
    shutil.copyfile(file, beside)
    beside.replace(place)
    return place


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _url(service: Manifest | None) -> str | None:
    """Return where a Service answers on this machine."""
    for ingress in (service or {}).get("status", {}).get("loadBalancer", {}).get("ingress", []):
        return f"http://{ingress['ip']}:{ingress['ports'][0]['port']}"
    return None


def _objects(runtime: LocalRuntime) -> list[Manifest]:
    return [manifest for kind in KINDS for manifest in runtime.list(kind)]


async def _keep_refreshing(view: View) -> None:
    while True:
        view.refresh()
        await asyncio.sleep(0.1)


def _interrupt_on_sigterm() -> None:
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
