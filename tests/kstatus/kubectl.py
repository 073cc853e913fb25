"""Real kubectl against the test API server."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.servers.apiserver import ApiServer
from tests.servers.process import program


def kubectl(*arguments: str, server: ApiServer | None = None, given: str | None = None) -> tuple[int, str, str]:
    """Run kubectl; returns its exit code, what it printed and what it complained of."""
    access: list[str] = []
    if server is not None:
        access = [f"--server={server.url}", f"--certificate-authority={server.ca}", f"--token={server.token}"]
        access.append(f"--cache-dir={Path(server.ca).parent / 'kubectl'}")
    command = [program("kubectl"), *access, *arguments]
    ended = subprocess.run(command, input=given, capture_output=True, text=True, timeout=120, check=False)
    return ended.returncode, ended.stdout, ended.stderr
