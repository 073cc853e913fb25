#!/usr/bin/env python3
"""The programs of the operating system that the one-machine cluster, the image builds and tests of databases need.

    python hack/packages.py            say what is missing
    python hack/packages.py install    install it, on Debian and its kin, as root

Everything else is built from pinned Go modules (hack/tools.py) or locked for Python (requirements.lock).

Exit codes: 0 nothing is missing (any more); 1 the installation failed; 2 something is missing and you have to do it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping

# Debian's package of each program. On other systems the packages may be called otherwise.
PACKAGES: Mapping[str, str] = {
    "containerd": "containerd",
    "runc": "runc",
    "nft": "nftables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "ps": "procps",
    "openssl": "openssl",
    "buildah": "buildah",
    "mmdebstrap": "mmdebstrap",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    # Servers that tests start by themselves, as another user, on ports of their own.
    "pg_ctlcluster": "postgresql",
    "mariadbd": "mariadb-server",
}
# Of these packages, the service that an installation starts.
SERVICES: Mapping[str, str] = {"containerd": "containerd", "postgresql": "postgresql", "mariadb-server": "mariadb"}
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def missing() -> dict[str, str]:
    """Return the programs that are not there, each with its Debian package."""
    path = f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}"
    return {program: package for program, package in PACKAGES.items() if shutil.which(program, path=path) is None}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="packages.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", nargs="?", choices=["list", "install"], default="list")
    command = parser.parse_args(arguments).command
    packages = sorted(set(missing().values()))
    if not packages:
        print("the operating system has all programs that are needed")
        return 0
    line = f"apt-get install --no-install-recommends {' '.join(packages)}"
    if command == "list" or shutil.which("apt-get") is None or os.geteuid() != 0:
        print(f"missing: {', '.join(missing())}. On Debian, as root: {line}", file=sys.stderr)
        return 2
    print(f"==> {line}", flush=True)
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for step in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        done = subprocess.run(["apt-get", "-qq", "-o=Dpkg::Use-Pty=0", *step], env=environ, stdout=subprocess.DEVNULL)
        if done.returncode != 0:
            print(f"packages.py: `apt-get {step[0]}` ended with {done.returncode}", file=sys.stderr)
            return 1
    # What comes with a package as a service is not wanted: the cluster and the tests start their own.
    for package, service in SERVICES.items():
        if shutil.which("systemctl") and package in packages:
            subprocess.run(["systemctl", "disable", "--now", service], capture_output=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
