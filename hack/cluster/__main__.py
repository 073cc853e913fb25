"""A real one-node Kubernetes cluster on this machine: no Docker, no registry, no route out.

    python hack/cluster.py up                      # etcd, API server, ..., kubelet: a node that runs pods
    export KUBECONFIG=$(python hack/cluster.py kubeconfig)
    python hack/cluster.py load-image build/*.tar
    python hack/cluster.py up --no-kubelet --kwok 10   # no root, no pods: an API server with fake nodes
    python hack/cluster.py down                    # leaves nothing behind, also after a crash

docs/cluster.md tells what it needs. Exit codes: 0 done; 1 it failed (the reason is printed); 2 the request cannot be
met and the message says what to mend; 130 interrupted, and cleaned up.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from hack.cluster import images, machine, processes, start, stop
from hack.cluster.errors import ClusterError
from hack.cluster.layout import Places, located, places
from hack.cluster.remains import remains


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="cluster.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.add_argument(
            "--name",
            default=os.environ.get("MLOPS_CLUSTER_NAME") or "default",
            help="which cluster, if there are several (default: $MLOPS_CLUSTER_NAME, else %(default)s)",
        )
        return added

    up = command("up", "start the cluster, or say that it runs; its kubeconfig's path is the last line printed")
    up.add_argument("--kwok", type=count, default=0, metavar="N", help="add N fake nodes, kept by kwok")
    up.add_argument("--kwok-stages", type=Path, metavar="FILE", help="kwok's Stage objects instead of hack/cluster's")
    up.add_argument("--no-kubelet", action="store_true", help="no real node, on 127.0.0.1: needs no root, runs no pod")
    up.add_argument("--audit-log", action="store_true", help="write every API request (who, verb, what) to a file")
    command("down", "end the cluster and remove all of it")
    load = command("load-image", "take images into the cluster and print the names by which pods get them")
    load.add_argument("files", nargs="+", type=Path, metavar="FILE", help="docker or OCI archive")
    command("status", "what runs, and where its files are")
    command("kubeconfig", "print the path of the kubeconfig")
    logs = command("logs", "print the log of a component")
    logs.add_argument("component", help="kubelet, containerd, kube-apiserver, ...: see status")
    return top


def count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 10_000:
        raise argparse.ArgumentTypeError("between 1 and 10000")
    return number


@contextmanager
def alone(where: Places) -> Iterator[None]:
    """One `up` or `down` at a time: also those of two names choose among the same networks."""
    lock = where.run.parent / "lock"
    while True:
        lock.parent.mkdir(parents=True, exist_ok=True)
        handle = lock.open("w")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another up or down is at work: waiting for it", file=sys.stderr, flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        if lock.exists() and lock.stat().st_ino == os.fstat(handle.fileno()).st_ino:
            break
        handle.close()  # whoever had it has removed it: it guards nothing any more
    try:
        yield
    finally:
        if not any(path.is_dir() for path in lock.parent.iterdir()):
            lock.unlink()
            for folder in (lock.parent, where.data.parent):
                with suppress(OSError):  # there is none, or it holds what is another's
                    folder.rmdir()
        handle.close()


def interrupt(number: int, frame: FrameType | None) -> None:
    """A request to stop takes the way of Ctrl-C; a second one must not stop the cleaning up."""
    handle_stops(signal.SIG_IGN)
    raise KeyboardInterrupt


def handle_stops(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)


def up(where: Places, options: argparse.Namespace) -> None:
    node = not options.no_kubelet
    if node:
        machine.require_root("a node")
    elif not options.kwok:
        raise ClusterError("--no-kubelet without --kwok N has no node for a pod: add --kwok 1", exit_code=2)
    if options.kwok_stages and not options.kwok_stages.is_file():
        raise ClusterError(f"--kwok-stages {options.kwok_stages}: no such file", exit_code=2)
    stages = str(options.kwok_stages.resolve()) if options.kwok_stages else ""
    asked = (node, options.kwok, options.audit_log, stages)
    if (present := start.running(where)) is not None:
        if present.options() != asked:
            raise ClusterError(
                f"the cluster {where.name} runs with other options (`status` tells them): "
                "end it with `down` first, or choose another --name",
                exit_code=2,
            )
        print(f"the cluster {where.name} runs already at {present.api_url}", file=sys.stderr)
        return
    machine.require_packages(node)
    programs = machine.programs(node, bool(options.kwok))
    progress = start.Progress()
    if remains(where):
        stop.down(where)  # of a cluster that was killed: nothing of it lives
        progress.say("removed what a killed cluster had left")
    handle_stops(interrupt)
    try:
        where.run.mkdir(parents=True, mode=0o711)
        (where.run / "data").write_text(str(where.data))
        if node:
            machine.require_kernel(where)
        where.data.mkdir(parents=True, exist_ok=True)
        cluster = start.decide(node, options.kwok, options.audit_log, stages)
        where.description.write_text(cluster.dumps())
        start.Start(where, cluster, programs, machine.plugins() or Path(), progress).run()
    except BaseException as error:
        handle_stops(signal.SIG_IGN)
        progress.say("interrupted: cleaning up" if isinstance(error, KeyboardInterrupt) else "failed: cleaning up")
        stop.down(where)
        raise


def status(where: Places) -> None:
    described = start.describe(where)
    if described is None:
        print(f"no cluster {where.name}")
        return
    kind = f"a node {where.name}, network {described.block}" if described.node else "no real node"
    print(f"cluster {where.name}: {described.api_url}, {kind}, {described.kwok} fake nodes")
    for name, process in processes.recorded(where).items():
        print(f"  {name:<26}{process.pid if process.alive() else 'ended':<9}{where.logs / name}.log")
    print(f"kubeconfig  {where.kubeconfig}")
    print(f"audit log   {where.audit_log if described.audit else 'none (up --audit-log)'}")


def choose(name: str, changes: bool) -> Places:
    """The caller's own cluster of that name; who only looks sees root's, too. Raises ClusterError."""
    own = located(places(name, root=os.geteuid() == 0))
    machines = located(places(name, root=True))
    if own.run == machines.run or own.description.exists() or not machines.description.exists():
        return own
    if changes:
        raise ClusterError(f"the cluster {name} is root's: use sudo, or choose another --name", exit_code=2)
    return machines


def require_cluster(where: Places) -> None:
    if not where.kubeconfig.exists():
        raise ClusterError(f"there is no cluster {where.name}: start it with `up`", exit_code=2)


def logs(where: Places, component: str) -> None:
    log = where.logs / f"{component}.log"
    if not log.exists():
        known = ", ".join(sorted(found.stem for found in where.logs.glob("*.log"))) or "none: no cluster runs"
        raise ClusterError(f"no log of {component!r}; there are {known}", exit_code=2)
    sys.stdout.write(log.read_text("utf-8", "replace"))


def run(options: argparse.Namespace) -> None:
    machine.require_linux()
    where = choose(options.name, changes=options.command in ("up", "down", "load-image"))
    if options.command == "up":
        with alone(where):
            up(where, options)
        print(where.kubeconfig)
    elif options.command == "down":
        with alone(where):
            stop.down(where)
    elif options.command == "load-image":
        machine.require_root("load-image")
        require_cluster(where)
        for path in options.files:
            print("\n".join(images.load(where, path)), flush=True)
    elif options.command == "status":
        status(where)
    elif options.command == "kubeconfig":
        require_cluster(where)
        print(where.kubeconfig)
    else:
        logs(where, options.component)


def main(arguments: list[str] | None = None) -> int:
    # Where the programs of the system are, which an ordinary user's PATH leaves out.
    os.environ["PATH"] = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"
    try:
        run(parser().parse_args(arguments))
    except ClusterError as error:
        print(f"cluster.py: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
