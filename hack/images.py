#!/usr/bin/env python3
"""Build the images without Docker and without a registry, as archives that a cluster's containerd can import.

    python hack/images.py build --output FOLDER
    python hack/images.py build operator workloads
    python hack/images.py clean

The same Dockerfiles as `docker build`. Unless --base-image names another, the base image is made by mmdebstrap from
this machine's Debian sources, and what pip installs is downloaded first, hashes checked, so that the build itself
needs no network. Everything is kept in a cache folder by the digest of what went in: a second build with the same
inputs takes a second. Needs Linux, buildah, mmdebstrap, and a Python with pip (`make venv`: .venv/bin/python).

Exit codes: 0 done; 1 a build failed; 2 the request cannot be met (a program is missing, an unknown image).
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import tools

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("requirements-operator.lock", "requirements-workloads.lock", "hack/images/build.lock")
APT_LINE = "apt-get install --no-install-recommends buildah mmdebstrap"

SUITE = "bookworm"
PYTHON = "3.11"  # the suite's
PACKAGES = ("usr-is-merged", "python3", "libstdc++6")
# What the host's name, resolver and package sources are is nobody's business who gets the image.
FORGET = 'rm -rf "$1"/etc/apt/sources.list* "$1"/etc/apt/apt.conf.d/99* "$1"/etc/resolv.conf "$1"/etc/hostname'
BASE = (
    "--variant=essential",
    "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
    f"--include={','.join(PACKAGES)}",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    f"--customize-hook={FORGET}",
)
EPOCH = "315532800"  # 1980, the earliest time that every archive format can say


class ImagesError(Exception):
    """Something that the person at the keyboard can mend; `exit_code` is that of the program."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Image:
    """One image: its Dockerfile and target, and the files that decide what is in it.

    `base` names the image of ours that it stands on; without one it stands on the base image.
    """

    name: str
    repository: str
    tag: str
    context: str
    inputs: tuple[str, ...]
    target: str = ""
    base: str = ""

    @property
    def reference(self) -> str:
        return f"{self.repository}:{self.tag}"


def version() -> str:
    """The package's version, which is the images' tag."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"])


def images() -> dict[str, Image]:
    """Every image by the name that the command line uses, in the order in which they are built."""
    package = (".dockerignore", "Dockerfile", "LICENSE", "README.md", "pyproject.toml", "operator", *LOCKS)
    sources = (*package, "hack/images/install.sh")
    trainer = "examples/own-trainer/trainer"
    minio = "hack/images/demo-minio"
    hub = "docker.io/library"
    found = (
        Image("workloads", f"{hub}/mlops-workloads", version(), ".", sources, target="workloads"),
        Image("operator", f"{hub}/mlops-operator", version(), ".", sources, target="operator"),
        Image("demo-minio", f"{hub}/mlops-demo-minio", version(), minio, (minio,)),
        Image("own-trainer", "example.com/own-trainer", "1", trainer, (trainer,), base="workloads"),
    )
    return {image.name: image for image in found}


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where everything is kept: $MLOPS_IMAGES_CACHE, else mlops-operator/images in the user's cache folder."""
    if chosen := environ.get("MLOPS_IMAGES_CACHE"):
        return Path(chosen)
    base = environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "mlops-operator" / "images"


def input_files(paths: Sequence[str], root: Path = ROOT) -> list[Path]:
    """The files below `paths`, without what Python and setuptools leave there."""
    found: list[Path] = []
    for path in (root / name for name in paths):
        if not path.exists():
            raise ImagesError(f"{path.relative_to(root)} is missing", exit_code=2)
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            names = file.relative_to(root).parts
            if file.is_file() and "__pycache__" not in names and not any(name.endswith(".egg-info") for name in names):
                found.append(file)
    return found


def digest(*texts: str, files: Sequence[Path] = (), root: Path = ROOT) -> str:
    """Changes with every text, and with the name, the mode and the bytes of every file."""
    total = hashlib.sha256("\0".join(texts).encode())
    for file in files:
        executable = os.access(file, os.X_OK)
        total.update(f"\0{file.relative_to(root).as_posix()} {executable} {file.stat().st_size}\0".encode())
        total.update(file.read_bytes())
    return total.hexdigest()[:16]


def say(message: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {message}", file=sys.stderr, flush=True)


_children: dict[int, subprocess.Popen[bytes]] = {}
_stopping = threading.Event()


def run(what: str, command: Sequence[str], environ: Mapping[str, str] = os.environ, cwd: Path = ROOT) -> str:
    """Run a program in a process group of its own and return its standard output.

    Says every 20 s that it is still at it. Raises ImagesError with the end of what the program said when it fails.
    """
    started = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with subprocess.Popen(
            [*tied_to_us(), *command],
            cwd=cwd,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        ) as process:
            _children[process.pid] = process
            try:
                while True:
                    try:
                        code = process.wait(timeout=20)
                        break
                    except subprocess.TimeoutExpired:
                        say(f"{what}: still at it, {time.monotonic() - started:.0f} s")
            finally:
                _children.pop(process.pid, None)
        out.seek(0)
        err.seek(0)
        said = out.read().decode(errors="replace")
        if code != 0 and not _stopping.is_set():
            last = "\n".join((said + err.read().decode(errors="replace")).strip().splitlines()[-40:])
            raise ImagesError(f"{what}: `{command[0]}` ended with {code}:\n{last}", exit_code=1)
    return said


def tied_to_us() -> list[str]:
    """What makes a program end when this one is killed and can no longer end it."""
    return ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []


def stop_children() -> None:
    """End every program that this one started and that still runs, with its own children."""
    _stopping.set()
    for process in list(_children.values()):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
    for process in list(_children.values()):
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def timed(what: str) -> Iterator[None]:
    started = time.monotonic()
    say(what)
    yield
    say(f"{what}: {time.monotonic() - started:.0f} s")


def keep_only(folder: Path, kept: Path, pattern: str = "*") -> None:
    """Remove what else matches in the folder: a cache holds one of each."""
    for path in folder.glob(pattern):
        if path != kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


# --- the base image and the wheels ---


def apt_sources(folder: Path = Path("/etc/apt")) -> list[Path]:
    """This machine's own sources of the suite; with none of them mmdebstrap asks Debian's usual mirror."""
    lists = [folder / "sources.list", *sorted(folder.glob("sources.list.d/*.list"))]
    pattern = re.compile(rf"^\s*deb\s.*\s{SUITE}(-\S+)?\s+main\b", re.MULTILINE)
    stanzas = re.compile(rf"^Suites:.*\b{SUITE}\b", re.MULTILINE)
    found = [path for path in lists if path.is_file() and pattern.search(path.read_text("utf-8"))]
    found += [
        path for path in sorted(folder.glob("sources.list.d/*.sources")) if stanzas.search(path.read_text("utf-8"))
    ]
    return found


def make_base(cache: Path) -> Path:
    """The base image's file system as a tar archive, made once."""
    target = cache / "base" / f"{digest(SUITE, *BASE)}.tar"
    if target.exists():
        return target
    with timed("base image, by mmdebstrap"), tempfile.TemporaryDirectory(prefix="mlops-base-") as scratch:
        # Proxies and the like of this machine's apt.
        settings = re.findall(
            r"^Acquire::(?:https?|Retries|Check)\S* .*$", run("apt-config", ["apt-config", "dump"]), re.MULTILINE
        )
        options = Path(scratch) / "apt.conf"
        options.write_text("\n".join(settings), "utf-8")
        unfinished = Path(scratch) / "base.tar"
        command = ["mmdebstrap", "--quiet", *BASE, f"--aptopt={options}", SUITE, str(unfinished)]
        run("base image", [*command, *map(str, apt_sources())], {**os.environ, "SOURCE_DATE_EPOCH": EPOCH})
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(unfinished, target)
    keep_only(target.parent, target)
    return target


def download_wheels(cache: Path) -> Path:
    """Every locked distribution as a wheel for the base image's Python, from the index that pip is configured for."""
    target = cache / "wheels" / digest(PYTHON, files=[ROOT / lock for lock in LOCKS])
    if target.exists():
        return target
    with timed("wheels, by pip download"):
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=target.parent))
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--require-hashes", "--only-binary", ":all:", "--python-version", PYTHON, "--dest", str(unfinished)]
        run("wheels", [*command, *(f"--requirement={lock}" for lock in LOCKS)])
        unfinished.rename(target)
    keep_only(target.parent, target)
    return target


# --- buildah ---


class Builder:
    """buildah with a storage of its own, so that it neither sees nor touches anybody else's images."""

    def __init__(self, storage: Path, runtime: Path) -> None:
        self._storage = storage
        self._buildah = ("buildah", "--root", str(storage), "--runroot", str(runtime))
        # What buildah keeps for a while in TMPDIR is removed with `runtime`, whatever became of buildah.
        driver = storage_driver(storage)
        own = {"BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": driver, "TMPDIR": str(runtime)}
        self._environ = {**os.environ, **own}

    def run(self, what: str, *arguments: str) -> str:
        return run(what, [*self._buildah, *arguments], self._environ)

    def has(self, reference: str) -> bool:
        return reference in self.run("images", "images", "--format", "{{.Name}}:{{.Tag}}").split()

    def build(self, reference: str, context: Path, *options: str) -> None:
        common = ("--layers", "--force-rm", "--timestamp", os.environ.get("SOURCE_DATE_EPOCH", EPOCH))
        self.run(reference, "build", *common, *options, "--tag", reference, str(context))

    def push(self, reference: str, archive: Path) -> None:
        """Write the image as a docker archive: its layers are not compressed, and imported the sooner for it."""
        unfinished = archive.with_name(f".{archive.name}.unfinished")
        unfinished.unlink(missing_ok=True)
        try:
            self.run(reference, "push", "--quiet", reference, f"docker-archive:{unfinished}:{reference}")
            unfinished.rename(archive)
        finally:
            unfinished.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove working containers, and whatever a build that was killed left mounted."""
        with suppress(ImagesError):
            self.run("buildah rm", "rm", "--all")
        unmount_below(self._storage)


def unmount_below(folder: Path) -> None:
    mounts = Path("/proc/self/mounts").read_text("utf-8").splitlines()
    points = [line.split()[1].replace("\\040", " ") for line in mounts]
    for point in sorted((p for p in points if Path(p).is_relative_to(folder)), reverse=True):
        subprocess.run(["umount", "--lazy", point], check=False, capture_output=True)


def storage_driver(storage: Path) -> str:
    """`overlay` where this user can mount one here, else the slower `vfs`; $STORAGE_DRIVER decides before either."""
    if chosen := os.environ.get("STORAGE_DRIVER"):
        return chosen
    with tempfile.TemporaryDirectory(prefix=".probe-", dir=storage.parent) as scratch:
        for name in ("lower", "upper", "work", "merged"):
            (Path(scratch) / name).mkdir()
        layers = ",".join(f"{name}dir={scratch}/{name}" for name in ("lower", "upper", "work"))
        command = ["mount", "-t", "overlay", "overlay", "-o", layers, f"{scratch}/merged"]
        if subprocess.run(command, check=False, capture_output=True).returncode != 0:
            return "vfs"
        subprocess.run(["umount", f"{scratch}/merged"], check=True)
    return "overlay"


@contextmanager
def builder(cache: Path, key: str, fresh: bool) -> Iterator[Builder]:
    """A builder on the storage for this base and these wheels; that of others is removed, a `fresh` one is emptied."""
    storage = cache / "storage" / key
    marker = cache / "storage.open"
    if marker.exists():
        # The run that opened it was killed: what it left mounted goes, and layers that may be half written, too.
        unmount_below(cache)
        shutil.rmtree(marker.read_text("utf-8"), ignore_errors=True)
        fresh = True
    if fresh:
        shutil.rmtree(storage, ignore_errors=True)
    storage.mkdir(parents=True, exist_ok=True)
    keep_only(storage.parent, storage)
    runtime = Path(tempfile.mkdtemp(prefix="mlops-images-"))
    marker.write_text(str(runtime), "utf-8")
    opened = Builder(storage, runtime)
    try:
        yield opened
    except BaseException:
        stop_children()
        raise
    finally:
        _stopping.clear()
        opened.close()
        unmount_below(runtime)
        shutil.rmtree(runtime, ignore_errors=True)
        marker.unlink()


# --- the commands ---


def options_of(image: Image, base: str, wheels: Path | None) -> list[str]:
    """What `buildah build` is told beside the context."""
    options = ["--build-arg", f"BASE_IMAGE={base}"]
    if image.target or image.name == "demo-minio":
        options += ["--build-arg", f"VERSION={version()}"]
    if image.target:
        options += ["--target", image.target]
        if wheels is not None:
            options += ["--build-context", f"wheels={wheels}"]
    if image.name == "demo-minio":
        options += ["--build-context", f"program={tools.build('minio').parent}"]
    return options


def digest_of(image: Image, base_key: str, known: Mapping[str, Image]) -> str:
    """Changes with everything that decides the image."""
    program = tools.TOOLS["minio"].fingerprint if image.name == "demo-minio" else ""
    below = digest_of(known[image.base], base_key, known) if image.base else base_key
    return digest(image.reference, image.target, below, program, EPOCH, files=input_files(image.inputs))


def with_bases(names: Sequence[str], known: Mapping[str, Image]) -> list[str]:
    """The names and what they stand on, in the order of building."""
    wanted = {*names, *(known[name].base for name in names)}
    return [name for name in known if name in wanted]


def build(names: Sequence[str], output: Path | None, base_image: str | None, force: bool) -> list[tuple[Image, Path]]:
    """Build the images that are not in the cache, and return each with its archive."""
    known = images()
    base_key = base_image or digest(SUITE, *BASE)
    cache = cache_folder()
    archives = cache / "archives"
    archives.mkdir(parents=True, exist_ok=True)
    with tools.alone(cache / "lock"):
        targets = {name: archives / f"{name}-{digest_of(known[name], base_key, known)}.tar" for name in known}
        missing = [name for name in names if force or not targets[name].exists()]
        for name in names:
            if name not in missing:
                say(f"{known[name].reference}: unchanged")
        if missing:
            build_missing(missing, known, targets, cache, base_image, force)
        return [(known[name], placed(targets[name], name, output)) for name in names]


def build_missing(
    missing: Sequence[str],
    known: Mapping[str, Image],
    targets: Mapping[str, Path],
    cache: Path,
    base_image: str | None,
    force: bool,
) -> None:
    require("buildah", *(() if base_image else ("mmdebstrap", "apt-config")))
    base_tar, wheels = None, None
    if base_image is None:
        with ThreadPoolExecutor(2) as both:
            made, downloaded = both.submit(make_base, cache), both.submit(download_wheels, cache)
            try:
                base_tar, wheels = made.result(), downloaded.result()
            except BaseException:
                stop_children()
                raise
    key = (
        digest(base_image or "", files=[ROOT / lock for lock in LOCKS])
        if base_tar is None or wheels is None
        else (f"{base_tar.stem}-{wheels.name}")
    )
    with builder(cache, key, fresh=force) as buildah:
        base = base_image or import_base(buildah, base_tar)
        for name in with_bases(missing, known):
            image = known[name]
            below = known[image.base].reference if image.base else base
            if name in missing or not buildah.has(image.reference):
                with timed(f"{image.reference}: building"):
                    buildah.build(image.reference, ROOT / image.context, *options_of(image, below, wheels))
            if name in missing:
                with timed(f"{image.reference}: writing its archive"):
                    buildah.push(image.reference, targets[name])
                keep_only(targets[name].parent, targets[name], f"{name}-*.tar")


def import_base(buildah: Builder, archive: Path | None) -> str:
    reference = "localhost/mlops-base:1"
    if archive is not None and not buildah.has(reference):
        with timed("base image, into buildah"), tempfile.TemporaryDirectory(prefix="mlops-base-") as scratch:
            recipe = Path(scratch) / "Dockerfile"
            recipe.write_text(f"FROM scratch\nADD {archive.name} /\n", "utf-8")
            buildah.build(reference, archive.parent, "--file", str(recipe))
    return reference


def placed(archive: Path, name: str, output: Path | None) -> Path:
    """The archive as FOLDER/<name>.tar, or where it is in the cache."""
    if output is None:
        return archive
    output.mkdir(parents=True, exist_ok=True)
    target = output / f"{name}.tar"
    target.unlink(missing_ok=True)
    try:
        os.link(archive, target)
    except OSError:
        shutil.copyfile(archive, target)
    return target


def require(*programs: str) -> None:
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise ImagesError(
            f"{' and '.join(missing)} not found. On Debian and Ubuntu: {APT_LINE}\n"
            "With Docker this program is not needed: docs/images.md",
            exit_code=2,
        )


def clean() -> None:
    """Remove the cache: base image, wheels, layers and archives."""
    cache = cache_folder()
    if cache.exists():
        with tools.alone(cache / "lock"):
            unmount_below(cache)
            shutil.rmtree(cache)


def interrupted(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(arguments: list[str] | None = None) -> int:
    known = images()
    parser = argparse.ArgumentParser(
        prog="images.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="build|clean")
    builds = commands.add_parser("build", help="build what has changed; prints each reference, size and archive")
    builds.add_argument("images", nargs="*", metavar="IMAGE", help=f"{', '.join(known)} (default: all)")
    builds.add_argument("--output", type=Path, metavar="FOLDER", help="write FOLDER/<image>.tar (default: the cache)")
    builds.add_argument("--base-image", metavar="REF", help="a base with Python to pull; pip then asks its index")
    builds.add_argument("--force", action="store_true", help="build again what has not changed")
    commands.add_parser("clean", help="remove the cache folder, the base image and the wheels with it")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, interrupted)
    try:
        if options.command == "clean":
            clean()
            return 0
        names = list(dict.fromkeys(options.images or known))
        if unknown := [name for name in names if name not in known]:
            raise ImagesError(f"no image {unknown[0]!r}: there are {', '.join(known)}", exit_code=2)
        for image, archive in build(names, options.output, options.base_image, options.force):
            print(f"{image.reference:<46}{archive.stat().st_size / 1e6:>6.0f} MB  {archive}")
    except (ImagesError, tools.ToolError) as error:
        print(f"images.py: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("images.py: interrupted; nothing is left running or mounted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
