"""hack/tools.py finds a tool where it is, builds what is missing once, and says what to do when it cannot."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from hack import tools

SCRIPT = Path(tools.__file__)
# Stands for the compiler, which needs minutes: notes that it ran, takes a while, writes the file after `-o`.
COMPILER = """#!/bin/sh
echo ran >> "$NOTES"
sleep 0.5
test -z "$BROKEN" || exit 1
while [ "$1" != -o ]; do shift; done
printf '#!/bin/sh\\n' > "$2"; chmod +x "$2"
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A machine with an empty cache, and a `go` of our own on PATH."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "go").write_text(COMPILER)
    (tmp_path / "bin" / "go").chmod(0o755)
    notes = tmp_path / "notes"
    notes.touch()
    return {
        "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin",
        "MLOPS_TOOLS_CACHE": str(tmp_path / "cache"),
        "NOTES": str(notes),
    }


def run(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], env=environ, capture_output=True, text=True)


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_a_tool_is_taken_from_the_assets_then_path_then_the_cache(environ: dict[str, str], tmp_path: Path) -> None:
    assert run(environ, "path", "etcd").returncode == 1
    built = run(environ, "build", "etcd").stdout.strip()
    assert built.startswith(environ["MLOPS_TOOLS_CACHE"])
    assert run(environ, "path", "etcd").stdout.strip() == built
    on_path = executable(tmp_path / "bin" / "etcd")
    assert run(environ, "path", "etcd").stdout.strip() == str(on_path)
    asset = executable(tmp_path / "assets" / "etcd")
    environ["KUBEBUILDER_ASSETS"] = str(tmp_path / "assets")
    assert run(environ, "path", "etcd").stdout.strip() == str(asset)


def test_a_tool_is_built_once_even_by_two_at_the_same_time(environ: dict[str, str]) -> None:
    command = [sys.executable, str(SCRIPT), "build", "minio"]
    both = [subprocess.Popen(command, env=environ, stdout=-1, stderr=-1, text=True) for _ in range(2)]
    outputs = {process.communicate()[0] for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert len(outputs) == 1
    assert run(environ, "build", "minio").returncode == 0
    assert Path(environ["NOTES"]).read_text() == "ran\n"


def test_a_failed_build_leaves_nothing_that_looks_built(environ: dict[str, str]) -> None:
    done = run({**environ, "BROKEN": "1"}, "build", "versitygw")
    assert done.returncode == 1
    assert "`go build` ended with 1" in done.stderr
    assert run(environ, "path", "versitygw").returncode == 1
    assert run(environ, "build", "versitygw").returncode == 0


def test_without_go_it_says_how_to_get_it(environ: dict[str, str], tmp_path: Path) -> None:
    done = run({**environ, "PATH": str(tmp_path)}, "build", "etcd")
    assert done.returncode == 2
    assert "Install Go" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_tool_is_answered_with_the_known_ones(environ: dict[str, str]) -> None:
    done = run(environ, "path", "etdc")
    assert done.returncode == 2
    assert "there are etcd, kube-apiserver" in done.stderr


@pytest.mark.parametrize("tool", list(tools.TOOLS.values()), ids=list(tools.TOOLS))
def test_every_tool_is_pinned(tool: tools.Tool) -> None:
    """A version, and the sums of what it is built from."""
    assert tool.version.startswith("v")
    assert f"{tool.module} {tool.version} h1:" in read(tool, "go.sum")
    if tool.package.startswith("./"):
        assert list((tools.MODULES / tool.folder / tool.package).glob("*.go"))
    else:
        assert re.search(rf"^(tool )?\s*{re.escape(tool.package)}$", pins := read(tool, "go.mod"), re.MULTILINE), pins


def read(tool: tools.Tool, name: str) -> str:
    return (tools.MODULES / tool.folder / name).read_text()
