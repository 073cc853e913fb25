"""What decides an image, and what is said when it cannot be built: no image is built here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "hack"))
import images  # noqa: E402  (hack/ is a folder of programs, not a package)

PINNED = re.compile(r"^([a-z0-9-]+)==(\S+)", re.MULTILINE)
HASHES = re.compile(r"--hash=(sha256:[0-9a-f]{64})")


def pins(lock: str) -> dict[str, str]:
    return dict(PINNED.findall((ROOT / lock).read_text("utf-8")))


@pytest.mark.parametrize("extra", ["operator", "workloads"])
def test_an_image_has_the_locked_versions(extra: str) -> None:
    """A laptop and a cluster agree on every version and every hash."""
    lock = f"requirements-{extra}.lock"
    whole = pins("requirements.lock")
    part = pins(lock)
    assert part
    assert part == {name: whole.get(name) for name in part}, "run `make lock`"
    hashes = set(HASHES.findall((ROOT / lock).read_text("utf-8")))
    assert hashes <= set(HASHES.findall((ROOT / "requirements.lock").read_text("utf-8"))), "run `make lock`"


@pytest.mark.parametrize("extra", ["operator", "workloads"])
def test_an_image_has_what_its_extra_asks_for(extra: str) -> None:
    """A dependency that is added to pyproject.toml is in the image, too."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"][extra]]
    names = {re.split(r"[^A-Za-z0-9.-]", one)[0].lower() for one in wanted}
    assert names <= pins(f"requirements-{extra}.lock").keys(), "run `make lock`"


@pytest.mark.parametrize(
    ("extra", "absent"),
    [
        pytest.param("operator", {"scikit-learn", "numpy", "polars", "onnxruntime", "minio"}, id="operator"),
        pytest.param("workloads", {"kopf", "kubernetes", "aiohttp"}, id="workloads"),
    ],
)
def test_no_image_carries_the_other_side(extra: str, absent: set[str]) -> None:
    """Pods start faster and less can be attacked."""
    assert not absent & pins(f"requirements-{extra}.lock").keys()


def test_the_version_in_the_labels_is_the_packages() -> None:
    """`docker build` without arguments labels the image rightly."""
    for file in ("Dockerfile", "hack/images/demo-minio/Dockerfile"):
        assert set(re.findall(r"^ARG VERSION=(.*)$", (ROOT / file).read_text("utf-8"), re.MULTILINE)) == {
            images.version()
        }


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "a.py").write_text("1")
    return tmp_path


def _touched(root: Path) -> None:
    os.utime(root / "package" / "a.py", (0, 0))


def _bytecode(root: Path) -> None:
    (root / "package" / "__pycache__").mkdir()
    (root / "package" / "__pycache__" / "a.pyc").write_text("x")


def _edited(root: Path) -> None:
    (root / "package" / "a.py").write_text("2")


def _renamed(root: Path) -> None:
    (root / "package" / "a.py").rename(root / "package" / "b.py")


def _executable(root: Path) -> None:
    (root / "package" / "a.py").chmod(0o755)


@pytest.mark.parametrize(
    ("change", "rebuilds"),
    [
        pytest.param(_touched, False, id="another-time-stamp"),
        pytest.param(_bytecode, False, id="bytecode"),
        pytest.param(_edited, True, id="other-bytes"),
        pytest.param(_renamed, True, id="another-name"),
        pytest.param(_executable, True, id="another-mode"),
    ],
)
def test_an_image_is_built_again_when_an_input_changes(
    sources: Path, change: Callable[[Path], None], rebuilds: bool
) -> None:
    """A stale image would be tested in place of the code at hand."""

    def digest() -> str:
        return images.digest("x", files=images.input_files(["package"], sources), root=sources)

    before = digest()
    change(sources)
    assert (digest() != before) is rebuilds


def test_what_stands_on_an_image_is_built_after_it() -> None:
    """The trainer of the example stands on the workloads image."""
    assert images.with_bases(["own-trainer"], images.images()) == ["workloads", "own-trainer"]


def test_only_this_suites_sources_are_used(tmp_path: Path) -> None:
    """A third party's source, or that of another release, must not decide what is in a base image."""
    lists = tmp_path / "sources.list.d"
    lists.mkdir()
    (tmp_path / "sources.list").write_text("deb http://debian.example/debian bookworm main\n")
    (lists / "other.list").write_text("deb http://third.example/apt bookworm stable\n")
    (lists / "debian.sources").write_text("Types: deb\nURIs: http://debian.example/debian\nSuites: bookworm\n")
    (lists / "newer.sources").write_text("Types: deb\nURIs: http://debian.example/debian\nSuites: trixie\n")
    assert [path.name for path in images.apt_sources(tmp_path)] == ["sources.list", "debian.sources"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["build", "worklods"], "no image 'worklods': there are workloads, operator", id="unknown"),
        pytest.param(["build", "workloads"], images.APT_LINE, id="no-buildah"),
    ],
)
def test_what_cannot_be_done_is_said_with_the_way_out(tmp_path: Path, arguments: list[str], said: str) -> None:
    """No traceback, and exit code 2: nothing was tried."""
    done = subprocess.run(
        [sys.executable, ROOT / "hack" / "images.py", *arguments],
        env={"PATH": str(tmp_path), "MLOPS_IMAGES_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
