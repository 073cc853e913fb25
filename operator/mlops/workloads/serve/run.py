"""The serving pod: alive at once, started when it has its artifact, ready when the model is checked, and nothing lost
when it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import resource
import secrets
import signal
import socket
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import uvloop

from mlops.api.environment import BadVariable
from mlops.api.pod_environment import ServerSettings
from mlops.api.reasons import Reason
from mlops.api.serving_task import ServeTask
from mlops.workloads.floor.log import say
from mlops.workloads.floor.model.latency import one_row_seconds, percentile
from mlops.workloads.floor.model.lone_rows import lone_rows
from mlops.workloads.floor.model.opening import load
from mlops.workloads.floor.pod import BadInput, PassingFault, Pod
from mlops.workloads.serve.access import ServerAccess, access_of
from mlops.workloads.serve.app import Application
from mlops.workloads.serve.budget import Budget
from mlops.workloads.serve.example import find_example
from mlops.workloads.serve.failures import FailureLog
from mlops.workloads.serve.guarded import GuardedApplication
from mlops.workloads.serve.metrics import Metrics
from mlops.workloads.serve.mounted_files import keep_renewing
from mlops.workloads.serve.request_ids import RequestIds
from mlops.workloads.serve.served import Served
from mlops.workloads.serve.server import Server
from mlops.workloads.serve.share import BUCKETS, Share
from mlops.workloads.serve.tls import Certificate, tls_listening

if TYPE_CHECKING:
    from mlops.workloads.serve.rpc_server import RpcServer

_BACKLOG = 2048
# Files that are open beside those of the clients: of the store, the model, and connections beyond the limit.
_OTHER_FILES = 512
_MEASURED = 50
_MEASURED_SECONDS = 2.0


def serve(pod: Pod, task: ServeTask) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises BadInput and StoreError as `opening.load` does, and PassingFault when the port is taken, a Secret that the
    stage names is not there, or captured rows could not be stored before the end.
    """
    try:
        settings = ServerSettings.read(pod.environ)
    except BadVariable as error:
        raise BadInput(Reason.SERVING_FAILED, str(error)) from error
    access = access_of(task, settings)
    if settings.grpc_port is not None and settings.grpc_port == settings.port:
        name, other = (ServerSettings.name_of(field) for field in ("grpc_port", "port"))
        raise BadInput(Reason.SERVING_FAILED, f"{name}: {settings.port} is {other} too; name another port")
    listener = _listener(settings)
    _raise_open_files(settings.connections)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        lost = runner.run(_serve(pod, task, settings, listener, access))
    if lost:
        raise PassingFault(
            Reason.STORE_UNAVAILABLE,
            f"{lost} captured rows or labels are lost: the store did not take them before the end",
        )


async def _serve(
    pod: Pod, task: ServeTask, settings: ServerSettings, listener: socket.socket, access: ServerAccess
) -> int:
    """Return the number of rows that could not be stored."""
    started = time.monotonic()
    metrics = Metrics(task.model_name, task.version, task.stage, task.artifact)
    ids, failures = RequestIds(), FailureLog()
    metrics.access = access
    # Not to share a first number with other pods: each would give its first request to the same version.
    share = None if task.candidate is None else Share(task.candidate, secrets.randbelow(BUCKETS))
    app = _application(task, settings, metrics, ids, failures, access, share)
    metrics.budget = budget = Budget(settings.buffered_bytes)

    def refused(status: int, message: str, request_id: bytes) -> None:
        metrics.count("refused", status, 0.0)
        failures.refused("refused", status, message, request_id)

    server = Server(app, settings, budget, refused=refused, ids=ids, paths=app.paths, vital=app.vital)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    rpc = await _rpc_server(app, server, settings, ids, access.certificate)
    await server.start(listener, None if access.certificate is None else tls_listening(access.certificate))
    renewing = asyncio.create_task(keep_renewing(access.mounted)) if access.mounted else None
    loading = asyncio.create_task(_load(pod, task, settings, metrics, app, share))
    stopped = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait([loading, stopped], return_when=asyncio.FIRST_COMPLETED)
        if not loading.done():
            return 0
        served = loading.result()
        app.serve(served)
        metrics.load_seconds = time.monotonic() - started
        _spare_the_collector()
        also = f", gRPC on {rpc.port}" if rpc else ""
        say(f"{task.model_name} version {task.version} is ready on port {listener.getsockname()[1]}{also}")
        flushers = [asyncio.create_task(recorder.run()) for recorder in (served.captures, served.labels)]
        flushers += _compare(pod, task, settings, metrics, app, served)
        await stopped
        app.draining = True
        # In a cluster requests keep coming briefly, until each node has learnt that the pod is going, and as long
        # as no other pod of the stage is ready. They are answered, each with `Connection: close`.
        await asyncio.sleep(settings.drain_seconds)
        await asyncio.gather(server.close(), *([rpc.close(settings.grace_seconds)] if rpc else []))
        for flusher in flushers:
            flusher.cancel()
        lost = await app.flush_until(time.monotonic() + settings.grace_seconds)
        captured = sum(one.stored_rows for kind, one in metrics.recorders.items() if kind != "labels")
        say(f"stopped; {captured} captured rows and {served.labels.stored_rows} labels are stored")
        return lost
    finally:
        if renewing is not None:
            renewing.cancel()
        await server.close()
        if rpc is not None:
            await rpc.close(0)
        app.close()


def _application(
    task: ServeTask,
    settings: ServerSettings,
    metrics: Metrics,
    ids: RequestIds,
    failures: FailureLog,
    access: ServerAccess,
    share: Share | None,
) -> Application:
    """Return the application that does what the stage asks for, and nothing that it does not."""
    given = (task, settings, metrics, ids, failures)
    if share is None:
        return Application(*given) if access.guard is None else GuardedApplication(*given, guard=access.guard)
    from mlops.workloads.serve.two_versions import GuardedSharedApplication, SharedApplication

    if access.guard is None:
        return SharedApplication(*given, share=share)
    return GuardedSharedApplication(*given, share=share, guard=access.guard)


def _compare(
    pod: Pod, task: ServeTask, settings: ServerSettings, metrics: Metrics, app: Application, served: Served
) -> list[asyncio.Task[None]]:
    """Begin with the candidate of the task, if it has one, and return what goes on until the end."""
    if task.candidate is None:
        return []
    from mlops.workloads.serve.candidate import ServedCandidate
    from mlops.workloads.serve.candidate_loading import load_candidate
    from mlops.workloads.serve.two_versions import SharedApplication

    assert isinstance(app, SharedApplication)
    candidate = ServedCandidate(
        task, task.candidate, served, sink=pod.store, limits=settings, metrics=metrics, host=_host(pod)
    )
    app.compare(candidate)
    runs = [load_candidate(pod, candidate, app.settled, _spare_the_collector), candidate.tallies.run()]
    return [asyncio.create_task(one) for one in [*runs, *(recorder.run() for recorder in candidate.recorders)]]


async def _rpc_server(
    app: Application, server: Server, settings: ServerSettings, ids: RequestIds, certificate: Certificate | None
) -> RpcServer | None:
    """Return what speaks gRPC, if the server is to."""
    if settings.grpc_port is None:
        return None
    # What is imported here costs memory and time, and most servers need none of it.
    from mlops.workloads.serve.rpc_methods import RpcMethods
    from mlops.workloads.serve.rpc_server import RpcServer

    rpc = RpcServer(RpcMethods(app), server, settings, ids, certificate)
    try:
        await rpc.start()
    except OSError as error:
        raise PassingFault(Reason.SERVING_FAILED, str(error)) from error
    return rpc


def _raise_open_files(connections: int) -> None:
    """Allow as many open files as connections, and those of the store: some runtimes start a pod with 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHER_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _spare_the_collector() -> None:
    """Leave what stays for good out of garbage collection, and let it look at the rest less often.

    A request makes some hundred lists and dictionaries that vanish with it; looked at every 700 objects, all that
    waits to be recorded would be looked at again and again. Threads that store rows must not hold the loop up for long
    either: they are asked to give way ten times as soon as by default.
    """
    gc.collect()
    # What opening the model took and gave back: C libraries keep it, unless they are asked.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)
    sys.setswitchinterval(0.0005)


async def _load(
    pod: Pod, task: ServeTask, settings: ServerSettings, metrics: Metrics, app: Application, share: Share | None
) -> Served:
    store = pod.store
    loaded = await asyncio.to_thread(load, store, task.artifact, pod.scratch / "model", fetched=app.has_artifact)
    # A slow model is not kept from its readiness by being measured.
    seconds = await asyncio.to_thread(one_row_seconds, loaded, _MEASURED, time.monotonic() + _MEASURED_SECONDS)
    golden = loaded.golden.inputs
    lone = await asyncio.to_thread(lone_rows, loaded.predictor, golden, time.monotonic() + _MEASURED_SECONDS)
    metrics.model_format = loaded.predictor.signature.format
    served = Served(
        task,
        loaded,
        one_row_seconds=percentile(seconds, 0.5),
        lone=lone,
        sink=store,
        limits=settings,
        metrics=metrics,
        host=_host(pod),
        # Without a key from outside nobody knows which requests this process chooses.
        sampling_key=settings.capture_key.encode() or secrets.token_bytes(32),
        batches=app.batches,
        id_maker=None if share is None else share.make_id,
    )
    example = await asyncio.to_thread(find_example, served.answering, golden, time.monotonic() + _MEASURED_SECONDS)
    served.description = replace(served.description, example=example)
    return served


def _host(pod: Pod) -> str:
    return pod.environ.get("HOSTNAME", socket.gethostname())


def _listener(settings: ServerSettings) -> socket.socket:
    host, port = settings.host, settings.port
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise PassingFault(Reason.SERVING_FAILED, f"cannot listen on {host}:{port}: {error.strerror}") from error
    listener = socket.socket(family, kind)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise PassingFault(Reason.SERVING_FAILED, f"cannot listen on {host}:{port}: {error.strerror}") from error
    listener.setblocking(False)
    return listener
