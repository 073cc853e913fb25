#!/usr/bin/env python3
"""Find or build the servers and programs that the tests and the one-machine cluster run.

    python hack/tools.py list
    python hack/tools.py path etcd
    python hack/tools.py build etcd kube-apiserver minio versitygw

A tool is looked for in $KUBEBUILDER_ASSETS, then on PATH, then in the cache folder; `build` compiles what none of them
has from the published Go module pinned in hack/tools/<folder>/go.mod and go.sum, so everybody runs the same bytes of
source. Needs nothing but Python 3.11 and, for `build`, Go.

Exit codes: 0 done; 1 a build failed, or `path` found nothing; 2 the request cannot be met (no Go, an unknown tool).
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

MODULES = Path(__file__).resolve().parent / "tools"
INSTALL_GO = (
    "the Go toolchain is needed to build {tools}, and there is no `go` on PATH.\n"
    "Install Go 1.25 or later (the Go project's own archive, or your package manager's `golang`), or put ready-made\n"
    "binaries on PATH or into the folder that $KUBEBUILDER_ASSETS names."
)


class ToolError(Exception):
    """Something that the person at the keyboard can mend; `exit_code` is that of the program."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Tool:
    """One program: which package of which pinned module makes it.

    `folder` holds the go.mod (tools of one project share it), `module` is the required module whose version is the
    tool's, `stamps` are the linker variables that take that version (or the value that stands there): without them
    Kubernetes' programs know none.
    """

    name: str
    folder: str
    module: str
    package: str
    stamps: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """The version pinned in go.mod."""
        pinned = (MODULES / self.folder / "go.mod").read_text("utf-8")
        found = re.search(rf"^(?:require)?\s*{re.escape(self.module)} (v\S+)", pinned, re.MULTILINE)
        if found is None:
            raise ToolError(f"hack/tools/{self.folder}/go.mod requires no {self.module}", exit_code=2)
        return found.group(1)

    @property
    def ldflags(self) -> str:
        return " ".join(["-s", "-w", *(f"-X={self._stamp(each)}" for each in self.stamps)])

    def _stamp(self, variable: str) -> str:
        return variable if "=" in variable else f"{variable}={self.version}"

    @property
    def fingerprint(self) -> str:
        """Changes with everything that decides the binary, so that an edited pin never meets an old build."""
        digest = hashlib.sha256(f"{self.package}\n{self.ldflags}\n".encode())
        sources = [MODULES / self.folder / name for name in ("go.mod", "go.sum")]
        if self.package.startswith("./"):
            sources += sorted((MODULES / self.folder / self.package).glob("*.go"))
        for source in sources:
            digest.update(source.read_bytes())
        return digest.hexdigest()[:12]


KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl")
KUBERNETES_STAMPS = ("k8s.io/component-base/version.gitVersion", "k8s.io/client-go/pkg/version.gitVersion")

# To add a program: a row here, and its package as a `tool` line of the go.mod (`go get -tool PACKAGE` in the folder).
# To move a pin: `go get MODULE@VERSION && go mod tidy` there; for Kubernetes also the versions in its `replace` block
# (v0.X.Y for v1.X.Y), and etcd's to the one that k8s.io/kubernetes requires.
TOOLS: Mapping[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool("etcd", "etcd", "go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/server/v3"),
        *(
            Tool(name, "kubernetes", "k8s.io/kubernetes", f"k8s.io/kubernetes/cmd/{name}", stamps=KUBERNETES_STAMPS)
            for name in KUBERNETES
        ),
        # The same go.mod: what they share with Kubernetes is compiled once.
        Tool("coredns", "kubernetes", "github.com/coredns/coredns", "./coredns"),
        Tool(
            "helm",
            "kubernetes",
            "helm.sh/helm/v4",
            "helm.sh/helm/v4/cmd/helm",
            # For `helm template` without a cluster, Helm's own release says which Kubernetes it stands for.
            stamps=(
                "helm.sh/helm/v4/internal/version.version",
                *(
                    f"helm.sh/helm/v4/{variable}{part}"
                    for variable in ("pkg/chart/common.k8sVersion", "internal/version.kubeClientVersion")
                    for part in ("Major=1", "Minor=34")
                ),
            ),
        ),
        Tool("kwok", "kwok", "sigs.k8s.io/kwok", "sigs.k8s.io/kwok/cmd/kwok"),
        # A program of our own: what the tools that wait for objects make of ours.
        Tool("kstatus", "kstatus", "sigs.k8s.io/cli-utils", "./"),
        # No stamp: MinIO reads its own version as a release date, and a module version is none.
        Tool("minio", "minio", "github.com/minio/minio", "github.com/minio/minio"),
        Tool(
            "versitygw",
            "versitygw",
            "github.com/versity/versitygw",
            "github.com/versity/versitygw/cmd/versitygw",
            stamps=("main.Version",),
        ),
    )
}


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where built tools are kept: $MLOPS_TOOLS_CACHE, else mlops-operator/tools in the user's cache folder."""
    if chosen := environ.get("MLOPS_TOOLS_CACHE"):
        return Path(chosen)
    base = environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "mlops-operator" / "tools"


def cached(tool: Tool, environ: Mapping[str, str] = os.environ) -> Path:
    """Where the build of exactly this pin is, or will be."""
    return cache_folder(environ) / f"{tool.name}-{tool.version}-{tool.fingerprint}" / tool.name


def find(name: str, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The program's path, or None when nobody has built it yet. Raises ToolError for a name that is no tool."""
    tool = TOOLS.get(name)
    if tool is None:
        raise ToolError(f"no tool {name!r}: there are {', '.join(TOOLS)}", exit_code=2)
    if assets := environ.get("KUBEBUILDER_ASSETS"):
        asset = Path(assets) / name
        if os.access(asset, os.X_OK):
            return asset
    if installed := shutil.which(name, path=environ.get("PATH")):
        return Path(installed)
    built = cached(tool, environ)
    return built if os.access(built, os.X_OK) else None


def say(message: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {message}", file=sys.stderr, flush=True)


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Hold the lock file: a second process waits here instead of spending the same minutes of compiling."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another process is building ({lock}): waiting")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def build(name: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Compile the tool unless it is there already, and return its path. Raises ToolError."""
    if (present := find(name, environ)) is not None:
        say(f"{name}: {present}")
        return present
    go = shutil.which("go", path=environ.get("PATH"))
    if go is None:
        raise ToolError(INSTALL_GO.format(tools=name), exit_code=2)
    tool = TOOLS[name]
    target = cached(tool, environ)
    with alone(cache_folder(environ) / f"{name}.lock"):
        if not os.access(target, os.X_OK):
            compile_tool(tool, go, target, environ)
    return target


def compile_tool(tool: Tool, go: str, target: Path, environ: Mapping[str, str]) -> None:
    """Build beside the target and rename: an interrupted build leaves nothing that looks finished."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{tool.name}.{os.getpid()}")
    # No debugging information, which is stripped anyhow, and a lazier garbage collector: a sixth less work to compile.
    command = [go, "build", "-mod=readonly", "-buildvcs=false", "-trimpath", "-gcflags=all=-dwarf=false"]
    command += ["-ldflags", tool.ldflags]
    started = time.monotonic()
    say(f"{tool.name}: building {tool.version} from {tool.package} (minutes, the first time)")
    try:
        with subprocess.Popen(
            [*command, "-o", str(unfinished), tool.package],
            cwd=MODULES / tool.folder,
            env={"GOGC": "400", **environ, "CGO_ENABLED": "0", "GOWORK": "off"},
        ) as process:
            while True:
                try:
                    code = process.wait(timeout=20)
                    break
                except subprocess.TimeoutExpired:
                    say(f"{tool.name}: still building, {time.monotonic() - started:.0f} s")
        if code != 0:
            raise ToolError(f"{tool.name}: `go build` ended with {code}; its reason stands above", exit_code=1)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    say(f"{tool.name}: built in {time.monotonic() - started:.0f} s: {target}")


@contextmanager
def fetching_ahead(names: list[str], environ: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Download the modules of the later tools while the first ones compile: that keeps the network busy, not the cores.
    What goes wrong here, the build itself will say."""
    go = shutil.which("go", path=environ.get("PATH"))
    missing = [TOOLS[name] for name in names if find(name, environ) is None]
    over, running = threading.Event(), list[subprocess.Popen[bytes]]()

    def fetch() -> None:
        for tool in missing[1:]:
            if over.is_set():
                return
            command = [str(go), "list", "-mod=readonly", "-deps", tool.package]
            quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            own = {**environ, "CGO_ENABLED": "0", "GOWORK": "off"}
            running[:] = [subprocess.Popen(command, cwd=MODULES / tool.folder, env=own, **quiet)]
            running[0].wait()

    thread = threading.Thread(target=fetch, daemon=True)
    if go and len(missing) > 1:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for process in running:
            process.terminate()
        if thread.is_alive():
            thread.join(10)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="tools.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="list|path|build")
    commands.add_parser("list", help="each tool, its pinned version and where it was found")
    for command, text in {"path": "print where a tool is", "build": "compile what is missing"}.items():
        commands.add_parser(command, help=text).add_argument("tools", nargs="+", metavar="TOOL", help=", ".join(TOOLS))
    options = parser.parse_args(arguments)
    try:
        if options.command == "list":
            for tool in TOOLS.values():
                print(f"{tool.name:<25}{tool.version:<42}{find(tool.name) or 'not built'}")
            return 0
        with fetching_ahead(options.tools) if options.command == "build" else nullcontext():
            for name in options.tools:
                found = find(name) if options.command == "path" else build(name)
                if found is None:
                    raise ToolError(f"{name} is not there yet: python hack/tools.py build {name}", exit_code=1)
                print(found)
    except ToolError as error:
        print(f"tools.py: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
