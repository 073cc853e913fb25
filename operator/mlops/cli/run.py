"""`mlops run`: the whole loop on one machine, from the manifests that `kubectl apply` takes."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cronsim import CronSim, CronSimError
from rich.console import Console

from mlops.api import labels, tasks
from mlops.api.base import format_time, parse_time
from mlops.api.kinds import KINDS, InvalidObject
from mlops.cli import manifests, scenario, summary, try_it
from mlops.cli.approve.person import signed
from mlops.cli.errors import UserError
from mlops.cli.interruption import Output, interruptible
from mlops.cli.one_machine import without_meaning
from mlops.cli.progress import View, ready
from mlops.cli.put.local import check_file, deliver
from mlops.cli.replay import Position, ReplayTarget, Sender, Stream
from mlops.cli.secrets import from_environment
from mlops.cli.settings import local_settings
from mlops.cli.sources import Sources, has_no_listing, uris_of
from mlops.cli.state import State
from mlops.cli.terminal import harmless
from mlops.engine.cluster import Clock
from mlops.engine.planners import PLANNERS
from mlops.local.clock import RealClock, VirtualClock
from mlops.local.cluster import LocalCluster
from mlops.local.errors import NotSettled
from mlops.local.runtime import LocalRuntime
from mlops.planning.plan import Key, Manifest
from mlops.store.address import open_store

# How far a driven clock goes ahead of a replay for what is to be tried again: after 1, 2, 4 … 32 minutes.
PATIENCE = timedelta(hours=1, minutes=10)
# What is said of a Service's ports for gRPC, by their names.
_RPC_PORTS = {"grpc": "", "grpcs": " with TLS"}


@dataclass(frozen=True)
class RunOptions:
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
    # Called before a replay's clock moves to a check, with its scheduled time.
    before_check: Callable[[LocalRuntime, datetime], None] | None = None


def run(options: RunOptions, console: Output | None = None) -> int:
    """Run until everything is settled (and the scenario's stream is over); return the exit code.

    0: all that was applied is ready. 1: something is not, and the summary says why. 128 + n: signal n (SIGINT, SIGTERM)
    ended it; everything that was started is stopped, what was done stays. Raises UserError for a mistake.
    """
    given = manifests.read(options.paths, words_are_texts=True)
    options.state.make_private()
    setting = scenario.read(options.scenario) if options.scenario else scenario.beside(options.paths)
    console = console or Output()
    return interruptible(_Run(options, given, setting, console).run(), console)


class _Run:
    def __init__(
        self, options: RunOptions, given: manifests.Manifests, setting: scenario.Scenario | None, console: Console
    ) -> None:
        self.options, self.given, self.setting, self.console = options, given, setting, console
        self.state = options.state
        self.images = _images(options, setting)
        _check_files(setting)
        self.sources = Sources(self.state.sources, self.state.buckets)
        replay = setting.replay if setting and options.replay else None
        self.stream = Stream.read(setting.folder, replay) if setting and replay else None
        self.place = RunFolders(self.state.replay, self.stream) if self.stream else None

    async def run(self) -> int:
        clock = VirtualClock(self.place.clock) if self.place else RealClock()
        extra = {}
        if self.options.allow_networks:
            extra[tasks.HTTP_NETWORKS_VARIABLE] = ",".join(self.options.allow_networks)
        settings = local_settings(self.state, extra)
        runtime = LocalRuntime(
            self.state.folder,
            planners=PLANNERS,
            settings=settings,
            clock=clock,
            images=self.images,
            secrets={**self.given.secrets, **from_environment(os.environ, self.given.named_secrets)},
        )
        async with runtime:
            # Not before: the folder may be in use by another run.
            self._deliver()
            live = self.console.is_terminal and not self.options.plain
            view = View(self.console, lambda: _objects(runtime), live=live)
            with view.shown():
                refreshing = asyncio.create_task(_keep_refreshing(view))
                try:
                    await self._work(runtime, view, clock)
                finally:
                    await _ended(refreshing)
            objects = _objects(runtime)
            troubles = summary.troubles(objects, [document.key for document in self.given.documents])
            unserved = self.stream is not None and self.place is not None and not self.place.over
            self._conclude(objects, troubles)
            if self.options.keep_serving:
                await self._serve_on(runtime, view)
        return 1 if troubles or unserved else 0

    def _deliver(self) -> None:
        """Put the scenario's files into their buckets."""
        if self.setting is not None:
            for put in self.setting.put:
                deliver(self.setting.folder / put.file, put.uri, self.state)

    def _has_news(self, runtime: LocalRuntime, document: manifests.ManifestDocument) -> bool:
        """Return whether a Dataset that was synced may come out another way: the user put right what was wrong, or
        changed what lies in the bucket."""
        if document.key[0] != "Dataset":
            return False
        source = document.manifest["spec"]["source"]
        uris = uris_of(source)
        is_other = has_no_listing(source) or (bool(uris) and self.sources.changed(document.key, uris))
        present = runtime.get(Key(*document.key))
        return is_other or (present is not None and ready(present)[0] == "False")

    async def _work(self, runtime: LocalRuntime, view: View, clock: Clock) -> None:
        for warning in self.given.warnings:
            view.say(warning)
        for name in self.given.left_out:
            view.say(f"{name} left out: without a cluster it means nothing")
        if said := without_meaning(document.manifest["spec"] for document in self.given.documents):
            view.say(said)
        for document in self.given.documents:
            try:
                outcome: str = runtime.apply(signed(document.manifest))
            except InvalidObject as error:
                raise UserError(f"{document.place}: {error}") from error
            has_news = self._has_news(runtime, document)
            if outcome == "unchanged" and has_news:
                request_sync(runtime.cluster, Key(*document.key), clock)
                outcome = "unchanged, its source is synced again"
            view.say(f"{document.key[0]} {document.key[2]} {outcome}")
            for path in _never(document.manifest):
                view.say(f"{document.key[0]} {document.key[2]}: {path} never comes: no month has that day")
        self.sources.save()
        await self._settle(runtime, clock)
        if self.stream is not None and self.place is not None and not self._is_stuck(runtime, view):
            await self._replay(runtime, view, clock, self.stream, self.place)

    async def _settle(self, runtime: LocalRuntime, clock: Clock) -> None:
        """Wait until nothing is under way. A driven clock also goes on to what is to be tried again soon."""
        latest = clock.now() + PATIENCE
        while True:
            try:
                await runtime.settled(self.options.timeout)
            except NotSettled as error:
                raise UserError(
                    f"{error}: look at it with `mlops get all -o wide --state {self.state.folder}`"
                ) from error
            again = _next_try(runtime, latest) if isinstance(clock, VirtualClock) else None
            if again is None:
                return
            await runtime.advance(again)

    async def _replay(self, runtime: LocalRuntime, view: View, clock: Clock, stream: Stream, place: RunFolders) -> None:
        """Send the stream check by check: the clock stands at a check until all that it sets off is done.

        So the outcome depends on the data and not on this machine's speed. What was sent is on record before the
        clock moves: a run that was killed goes on with the same requests to the same versions.
        """
        replay = stream.replay
        service = self._service(replay)
        view.replaying(len(stream), place.position.rows)

        def url() -> ReplayTarget:
            address = _url(runtime.get(service))
            if address is None:
                raise UserError(f"{replay.model} is not served in stage {replay.stage}: nothing to send requests to")
            return ReplayTarget(address, replay.model)

        sender = Sender(stream, url, lambda count: view.replayed(count, clock.now()))
        end = stream.last
        while not place.over:
            tick = runtime.next_tick()
            timestamp = min(tick, end) if tick is not None else end
            place.position = await _in_thread(sender, timestamp, place.position)
            place.save(timestamp, over=timestamp >= end)
            if self.options.before_check is not None and tick is not None and tick <= end:
                self.options.before_check(runtime, tick)
                await self._settle(runtime, clock)
            await runtime.advance(timestamp)
            await self._settle(runtime, clock)
            view.replayed(0, clock.now())

    def _is_stuck(self, runtime: LocalRuntime, view: View) -> bool:
        """Return whether there is no server to replay to. The summary then says what is not ready, and why."""
        if (
            self.stream is None
            or (self.place and self.place.over)
            or _url(runtime.get(self._service(self.stream.replay))) is not None
        ):
            return False
        replay = self.stream.replay
        view.say(f"no replay: {replay.model} is not served in stage {replay.stage}")
        return True

    def _service(self, replay: scenario.Replay) -> Key:
        return Key("Service", self._namespace(), f"{replay.model}-{replay.stage}")

    def _namespace(self) -> str:
        namespaces = {namespace for _, namespace, _ in (document.key for document in self.given.documents)}
        return namespaces.pop() if len(namespaces) == 1 else "default"

    def _conclude(self, objects: list[Manifest], troubles: list[Manifest]) -> None:
        store = open_store(self.state.store.resolve().as_uri(), os.environ)
        reports = summary.lay_out_reports(objects, store, self.state.reports)
        text = summary.summary(objects, troubles)
        if text:
            self._say(f"\n{text}")
        if reports:
            self._say(f"\n{reports} drift reports: {self.state.reports}/")
        self._say(f"state: {self.state.folder}   look: mlops get all --state {shlex.quote(str(self.state.folder))}")
        for line in try_it.predict_lines(objects, self.state):
            self._say(f"ask it: {line}")

    def _say(self, text: str) -> None:
        self.console.print(harmless(text), highlight=False, markup=False, soft_wrap=True)

    async def _serve_on(self, runtime: LocalRuntime, view: View) -> None:
        for service in runtime.list("Service"):
            url = _url(service)
            also = _also_over_grpc(service)
            self._say(f"serving {service['metadata']['name']} at {url}{also}")
            if url and (line := try_it.curl_line(service, url, _objects(runtime), self.state)):
                self._say(f"try it: {line}")
        self._say("Ctrl-C stops it")
        view.as_lines()
        await _keep_refreshing(view)


async def _in_thread(sender: Sender, timestamp: datetime, position: Position) -> Position:
    """Send in a thread. When cancelled, first wait until it has stopped: the server still has to answer it."""
    sending = asyncio.ensure_future(asyncio.to_thread(sender.until, timestamp, position))
    try:
        return await asyncio.shield(sending)
    except asyncio.CancelledError:
        sender.stop()
        await asyncio.gather(sending, return_exceptions=True)
        raise


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancel `task` and wait for its end; what went wrong in it is raised."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _images(options: RunOptions, setting: scenario.Scenario | None) -> dict[str, Path]:
    """Return the folder for each image: the command line's word counts more. Raises UserError if one is not there."""
    stated = {name: setting.folder / folder for name, folder in setting.images.items()} if setting else {}
    images = stated | options.images
    for name, folder in images.items():
        if not folder.is_dir():
            raise UserError(f"image {name}: {folder} is no folder: it has to hold the code that the image holds")
    return images


def _check_files(setting: scenario.Scenario | None) -> None:
    """Raise UserError if a file that the scenario puts is not there: before anything is made."""
    if setting is not None:
        for put in setting.put:
            check_file(setting.folder / put.file)


def check_scenario(paths: tuple[str, ...]) -> None:
    """Raise UserError if the scenario beside the manifests cannot be used, or a file that it names is not there."""
    _check_files(scenario.beside(paths))


class RunFolders:
    """How far the replay of a stream has come, on record in the state folder."""

    def __init__(self, path: Path, stream: Stream) -> None:
        self._path = path
        self._identity = _identity(stream)
        self.position, self.clock, self.over = Position(), stream.first, False
        if path.exists():
            try:
                saved = json.loads(path.read_text())
                if saved["stream"] == self._identity:
                    self.position = Position(saved["rows"], saved["labels"])
                    self.clock, self.over = parse_time(saved["clock"]), saved["over"]
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(f"{path} was changed: delete it, and the replay begins again") from error

    def save(self, timestamp: datetime, *, over: bool) -> None:
        """Record that everything up to `timestamp` was sent; a file half written is never seen."""
        self.over = over
        content = {
            "stream": self._identity,
            "rows": self.position.rows,
            "labels": self.position.labels,
            "clock": format_time(timestamp),
            "over": over,
        }
        beside = self._path.with_suffix(".tmp")
        beside.write_text(json.dumps(content))
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(self._path)


def request_sync(cluster: LocalCluster, key: Key, clock: Clock) -> None:
    """Have a Dataset's source synced once more, as the annotation has it done in a cluster."""
    manifest = cluster.get(key) or {}
    synced_at = manifest.get("status", {}).get("lastCheckTime")
    # A driven clock may stand where it stood at the last sync.
    later = [clock.now(), *([parse_time(synced_at) + timedelta(seconds=1)] if synced_at else [])]
    asked = {labels.REQUESTED_AT: format_time(max(later))}
    if manifest.get("status", {}).get("attempts"):
        # Who runs it again has mended something: the next attempt is now, not when a cluster would make it.
        asked[labels.RETRY] = format_time(max(later))
    cluster.annotate(key, asked)


def _never(manifest: Manifest) -> Iterator[str]:
    """Yield the schedules that never come. They are valid, in a cluster too; few are meant."""
    spec = manifest["spec"]
    schedules = {
        "spec.schedule": spec.get("schedule"),
        "spec.refresh.schedule": (spec.get("refresh") or {}).get("schedule"),
    }
    for path, schedule in schedules.items():
        if schedule is not None:
            try:
                next(CronSim(schedule, datetime.now(UTC)))
            except (CronSimError, StopIteration):
                yield f"{path} {schedule!r}"


def _next_try(runtime: LocalRuntime, latest: datetime) -> datetime | None:
    """Return when something is tried again, if that is not later than `latest` and before the next check."""
    again, tick = runtime.next_requeue(), runtime.next_tick()
    return again if again and again <= latest and (tick is None or again < tick) else None


def _identity(stream: Stream) -> str:
    """Return what tells one replay from another: its settings and its rows."""
    digest = hashlib.sha256(stream.replay.model_dump_json().encode())
    digest.update(stream.frame.hash_rows(seed=0).to_numpy().tobytes())
    return digest.hexdigest()


def _url(service: Manifest | None) -> str | None:
    """Return where a Service answers on this machine."""
    for ingress in (service or {}).get("status", {}).get("loadBalancer", {}).get("ingress", []):
        # The first port is the one of the version that is wanted, and is called by its scheme.
        scheme = (service or {})["spec"]["ports"][0]["name"]
        return f"{scheme}://{ingress['ip']}:{ingress['ports'][0]['port']}"
    return None


def _also_over_grpc(service: Manifest) -> str:
    """Return where a Service answers over gRPC on this machine, as clients take it; empty if it does not."""
    names = [port["name"] for port in service["spec"]["ports"]]
    for ingress in service.get("status", {}).get("loadBalancer", {}).get("ingress", []):
        for name, port in zip(names, ingress["ports"], strict=False):
            if name in _RPC_PORTS:
                return f" and over gRPC{_RPC_PORTS[name]} at {ingress['ip']}:{port['port']}"
    return ""


def _objects(runtime: LocalRuntime) -> list[Manifest]:
    return [manifest for kind in KINDS for manifest in runtime.list(kind)]


async def _keep_refreshing(view: View) -> None:
    while True:
        view.refresh()
        await asyncio.sleep(0.1)
