"""The images themselves: built, unpacked, and run as a cluster runs them, on a read-only root as user 65532."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import urllib3
from minio import Minio
from minio.error import S3Error

from mlops.api import tasks
from mlops.workloads.train import environment
from tests.servers.process import free_port
from tests.workloads.train.runs import Place, a_task

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        os.name != "posix" or os.geteuid() != 0 or not shutil.which("buildah") or not shutil.which("mmdebstrap"),
        reason="needs root on Linux, buildah and mmdebstrap",
    ),
]

# A read-only root; /tmp and /mnt can be written, as a pod's volumes can.
INSIDE = """
root=$1 volume=$2
shift 2
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount --rbind /dev "$root/dev"
mount --rbind /proc "$root/proc"
mount --bind "$volume" "$root/mnt"
exec chroot --userspec=65532:65532 "$root" env -i "$@"
"""


@dataclass(frozen=True)
class Image:
    """An unpacked image and its configuration."""

    root: Path
    config: dict[str, list[str]]

    def command(self, *command: str, volume: Path, **environ: str) -> list[str | Path]:
        """Return what runs a command in it; what is mounted for that is gone with the process."""
        variables = [*self.config["Env"], *(f"{name}={value}" for name, value in environ.items())]
        inside = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", INSIDE, "sh", self.root, volume]
        return [*inside, *variables, *command]

    def run(self, *command: str, volume: Path, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command in it to its end."""
        return subprocess.run(self.command(*command, volume=volume, **environ), capture_output=True, text=True)

    def python(self, code: str, volume: Path) -> str:
        """Run Python code in it and return what it prints."""
        done = self.run("python", "-c", code, volume=volume)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def unpack(archive: Path, folder: Path) -> Image:
    """Unpack a docker archive's layers over each other."""
    with tarfile.open(archive) as whole:
        whole.extractall(folder / "archive", filter="data")
    manifest = json.loads((folder / "archive" / "manifest.json").read_text())[0]
    root = folder / "root"
    root.mkdir()
    for layer in manifest["Layers"]:
        subprocess.run(["tar", "-xf", folder / "archive" / layer, "-C", root], check=True)
    config = json.loads((folder / "archive" / manifest["Config"]).read_text())["config"]
    shutil.rmtree(folder / "archive")
    return Image(root, config)


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every image's archive; built before the first test unless the cache has them."""
    folder = tmp_path_factory.mktemp("archives")
    subprocess.run([sys.executable, ROOT / "hack" / "images.py", "build", "--output", folder], check=True)
    return folder


@pytest.fixture(scope="module")
def workloads(archives: Path, tmp_path_factory: pytest.TempPathFactory) -> Image:
    return unpack(archives / "workloads.tar", tmp_path_factory.mktemp("workloads"))


@pytest.fixture(scope="module")
def operator(archives: Path, tmp_path_factory: pytest.TempPathFactory) -> Image:
    return unpack(archives / "operator.tar", tmp_path_factory.mktemp("operator"))


FIND = "from importlib.util import find_spec; print([m for m in {modules} if find_spec(m)])"


def test_the_workloads_image_runs_every_workload_and_no_operator(workloads: Image, tmp_path: Path) -> None:
    """Every module imports on a read-only root, and what only the operator needs is not there."""
    modules = [
        path.relative_to(ROOT / "operator").with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
        for path in sorted((ROOT / "operator" / "mlops" / "workloads").rglob("*.py"))
    ]
    assert workloads.python(f"import importlib; [importlib.import_module(m) for m in {modules}]", tmp_path) == ""
    assert workloads.python(FIND.format(modules=["kopf", "kubernetes", "aiohttp", "pip"]), tmp_path) == "[]"


def test_the_operator_image_runs_the_operator_and_no_workload(operator: Image, tmp_path: Path) -> None:
    """The program starts, and no training library is there."""
    assert operator.config["Entrypoint"] == ["mlops-operator"]
    helped = operator.run("mlops-operator", "--help", volume=tmp_path)
    assert helped.returncode == 0, helped.stderr
    assert operator.python(FIND.format(modules=["sklearn", "numpy", "polars", "minio", "pip"]), tmp_path) == "[]"


@pytest.mark.parametrize("name", ["workloads", "operator"])
def test_an_image_is_nobodys_and_tells_nothing_of_where_it_was_built(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Pod Security `restricted` takes the user; no host name, resolver or package source is inside."""
    image: Image = request.getfixturevalue(name)
    assert image.config["User"] == "65532:65532"
    assert image.python("import os; print(os.getuid(), os.access('/opt', os.W_OK))", tmp_path) == "65532 False"
    # Empty ones are where a container runtime mounts its own.
    told = [image.root / path for path in ("etc/hostname", "etc/resolv.conf", "etc/apt/sources.list")]
    assert [path for path in told if path.exists() and path.read_text()] == []
    assert not list(image.root.glob("etc/apt/sources.list.d/*"))
    assert not [path for path in ("run/build", "run/wheels", "build") if (image.root / path).exists()]


def test_bytecode_is_there_and_is_used(workloads: Image, tmp_path: Path) -> None:
    """A pod cannot write bytecode: without it, every start compiles everything again, and takes twice as long."""
    said = workloads.run("python", "-vc", "import mlops.api.tasks, numpy, polars", volume=tmp_path).stderr
    loaded = re.findall(r"^# code object from '(/opt/mlops/.*)'$", said, re.MULTILINE)
    assert loaded
    assert [path for path in loaded if not path.endswith(".pyc")] == []


def test_the_operator_knows_the_environment_in_which_pods_train(
    operator: Image, workloads: Image, tmp_path: Path
) -> None:
    """One digest in the operator's file, in the workloads image and, with the same Python, in the locked .venv."""
    there = workloads.python("from mlops.workloads.train import environment; print(environment.digest())", tmp_path)
    assert (operator.root / "etc/mlops/environment-digest").read_text().strip() == there
    if sys.version_info[:2] == (3, 11):
        assert there == environment.digest()


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="another Python minor version makes other bits")
@pytest.mark.parametrize(
    "estimator", ["LogisticRegression", "RandomForestClassifier", "HistGradientBoostingClassifier"]
)
def test_a_model_trained_in_the_image_has_the_bits_of_one_trained_here(
    workloads: Image, tmp_path: Path, estimator: str
) -> None:
    """The artifact's digest says so: what was tried on a laptop is what a cluster makes."""
    place = Place(tmp_path)
    task = json.dumps(a_task(place.dataset(), estimator).dump())
    numeric = {**tasks.NUMERIC_ENVIRONMENT, tasks.TASK_VARIABLE: task}
    volume = tmp_path / "volume"
    shutil.copytree(place.folder / "store", volume / "store")
    subprocess.run(["chmod", "-R", "a+rwX", volume], check=True)
    there = {**numeric, tasks.STORE_VARIABLE: "file:///mnt/store", tasks.TERMINATION_VARIABLE: "/mnt/there"}
    ran = workloads.run("python", "-m", "mlops.workloads", volume=volume, **there)
    assert ran.returncode == 0, ran.stderr

    here = {**os.environ, **numeric, tasks.STORE_VARIABLE: place.url, tasks.TERMINATION_VARIABLE: f"{tmp_path}/here"}
    done = subprocess.run([sys.executable, "-m", "mlops.workloads"], env=here, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads((volume / "there").read_text()) == json.loads((tmp_path / "here").read_text())


def test_a_second_build_makes_nothing_anew(archives: Path, tmp_path: Path) -> None:
    """Unchanged inputs, the same archive, at once; and of the first build nothing is left mounted."""
    command = [sys.executable, ROOT / "hack" / "images.py", "build", "demo-minio", "--output", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "mlops-demo-minio:0.1.0: unchanged" in done.stderr
    assert (tmp_path / "demo-minio.tar").stat().st_size == (archives / "demo-minio.tar").stat().st_size
    assert "mlops-operator/images" not in Path("/proc/self/mounts").read_text()


def test_the_demo_minio_serves_the_buckets_that_it_was_told(
    archives: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    """No Job has to make them afterwards."""
    image = unpack(archives / "demo-minio.tar", tmp_path_factory.mktemp("demo-minio"))
    assert image.config["User"] == "65532:65532"
    tmp_path.chmod(0o777)
    port = free_port()
    told = {"MINIO_DATA": "/mnt/data", "MINIO_BUCKETS": "mlops raw", "MINIO_ADDRESS": f"127.0.0.1:{port}"}
    secret = {"MINIO_ROOT_USER": "somebody", "MINIO_ROOT_PASSWORD": "something"}
    client = Minio(f"127.0.0.1:{port}", "somebody", "something", secure=False)
    with subprocess.Popen(image.command(*image.config["Entrypoint"], volume=tmp_path, **told, **secret)) as server:
        try:
            assert until(lambda: sorted(bucket.name for bucket in client.list_buckets())) == ["mlops", "raw"]
        finally:
            server.terminate()


def until(ask: Callable[[], list[str]]) -> list[str]:
    """Ask until there is an answer, for 30 s."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return ask()
        except (urllib3.exceptions.HTTPError, S3Error):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
