"""What the machine must have, and the commands that change it."""

from __future__ import annotations

import os
import platform
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from hack import tools
from hack.cluster import cgroups
from hack.cluster.errors import ClusterError
from hack.cluster.layout import Places

# Program -> the Debian package that has it.
PACKAGES = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "nft": "nftables",
    "ip": "iproute2",
    "sysctl": "procps",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "mount": "mount",
    "umount": "mount",
    "openssl": "openssl",
}
PLUGINS = ("host-local", "loopback", "ptp")
PLUGIN_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"), Path("/usr/libexec/cni"))
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
NODE = ("kubelet", "kube-proxy", "coredns")


def run(*command: str, within: Sequence[str] = (), check: bool = True) -> str:
    """Run it to its end and return what it printed. Raises ClusterError with its own words when it fails."""
    done = subprocess.run([*within, *command], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise ClusterError(f"`{' '.join(command)}` ended with {done.returncode}: {said}")
    return done.stdout


def require_linux() -> None:
    if platform.system() != "Linux":
        raise ClusterError(
            f"this makes a cluster out of Linux's namespaces, and this is {platform.system()}: "
            "use kind, k3d or minikube, and point KUBECONFIG at it",
            exit_code=2,
        )


def require_root(what: str) -> None:
    if os.geteuid() != 0:
        raise ClusterError(
            f"{what} needs root (network namespaces, mounts, cgroups): run it with sudo, or `up --no-kubelet --kwok N` "
            "for an API server with fake nodes, which needs none",
            exit_code=2,
        )


def programs(node: bool, kwok: bool) -> dict[str, Path]:
    """Where each Kubernetes program is. Raises ClusterError that says how to build those that are not."""
    wanted = [*CONTROL_PLANE, *(NODE if node else ()), *(["kwok"] if kwok else [])]
    found = {name: tools.find(name, callers_environment()) for name in wanted}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        raise ClusterError(
            f"not built yet: {', '.join(missing)}. Build them once (minutes):\n"
            f"  python hack/tools.py build {' '.join(missing)}\n"
            "or put ready-made ones on PATH or into the folder that $KUBEBUILDER_ASSETS names",
            exit_code=2,
        )
    return {name: path for name, path in found.items() if path is not None}


def callers_environment() -> dict[str, str]:
    """That of whoever called sudo: the tools were built into his cache folder, not root's."""
    environ = dict(os.environ)
    if os.geteuid() == 0 and "SUDO_USER" in environ:
        environ.setdefault("XDG_CACHE_HOME", str(Path(pwd.getpwnam(environ["SUDO_USER"]).pw_dir) / ".cache"))
    return environ


def give_to_caller(path: Path) -> None:
    """Whoever called sudo uses the cluster without it."""
    if os.geteuid() == 0 and "SUDO_UID" in os.environ:
        os.chown(path, int(os.environ["SUDO_UID"]), -1)


def require_packages(node: bool) -> None:
    """Raises ClusterError with the line that installs what is missing."""
    needed = PACKAGES if node else {"openssl": "openssl"}
    missing = {package for program, package in needed.items() if shutil.which(program) is None}
    if node and plugins() is None:
        missing.add("containernetworking-plugins")
    if missing:
        raise ClusterError(
            "these programs of the system are missing; on Debian and Ubuntu:\n"
            f"  apt-get install --no-install-recommends {' '.join(sorted(missing))}",
            exit_code=2,
        )


def plugins() -> Path | None:
    """The folder that has the CNI plug-ins."""
    for folder in PLUGIN_FOLDERS:
        if all(os.access(folder / name, os.X_OK) for name in PLUGINS):
            return folder
    return None


def require_kernel(places: Places) -> None:
    """Cgroups with a memory controller, and a disk that overlayfs can lie on."""
    if cgroups.version(cgroups.MOUNTS.read_text()) == "none":
        raise ClusterError("no cgroups are mounted under /sys/fs/cgroup: the kubelet cannot do without", exit_code=2)
    places.data.mkdir(parents=True, exist_ok=True)
    kind = run("stat", "--file-system", "--format=%T", str(places.data)).strip()
    if kind.startswith("overlay"):
        raise ClusterError(
            f"{places.data} lies on an overlay file system (is this a container?), and images cannot be unpacked on "
            "one: set MLOPS_CLUSTER_DATA to a folder on a disk (ext4, xfs) or on a tmpfs",
            exit_code=2,
        )
