"""Images without a registry: the pause image, and taking archives into containerd."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from hack import tools
from hack.cluster.components import PAUSE_IMAGE
from hack.cluster.errors import ClusterError
from hack.cluster.layout import Places
from hack.cluster.machine import callers_environment, run
from hack.cluster.network import inside_node

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
PAUSE_SOURCE = Path(__file__).resolve().parent.parent / "tools" / "pause"
IMAGE_NAME = "io.containerd.image.name"
REFERENCE_NAME = "org.opencontainers.image.ref.name"


def archive(
    target: Path, reference: str, files: Mapping[str, bytes], command: Sequence[str], user: str = "65532"
) -> None:
    """Write a docker archive of one layer: `files` by path, all executable; the same bytes for the same content."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as packed:
        for path, content in sorted(files.items()):
            add(packed, path, content, 0o755)
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    config = json.dumps(
        {
            "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Entrypoint": list(command), "User": user},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        },
        sort_keys=True,
    ).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": [reference], "Layers": [f"{digest}.tar"]}]
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    with tarfile.open(unfinished, mode="w") as packed:
        add(packed, f"{digest}.tar", layer.getvalue())
        add(packed, name, config)
        add(packed, "manifest.json", json.dumps(manifest).encode())
    unfinished.replace(target)


def add(packed: tarfile.TarFile, path: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = len(content), mode
    packed.addfile(entry, io.BytesIO(content))


def pause_archive() -> Path:
    """The pause image's archive, built on the first call and kept in the tools' cache. Raises ClusterError."""
    sources = sorted(PAUSE_SOURCE.iterdir())
    digest = hashlib.sha256(b"\n".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    target = tools.cache_folder(callers_environment()) / f"pause-{platform.machine()}-{digest}" / "pause.tar"
    if target.exists():
        return target
    go = shutil.which("go")
    if go is None:
        raise ClusterError(tools.INSTALL_GO.format(tools="the pause image"), exit_code=2)
    target.parent.mkdir(parents=True, exist_ok=True)
    binary = target.with_name(f"pause.{os.getpid()}")
    command = [go, "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", str(binary), "."]
    environ = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}
    done = subprocess.run(command, cwd=PAUSE_SOURCE, env=environ, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"the pause image was not built: {done.stderr.strip()}")
    archive(target, PAUSE_IMAGE, {"pause": binary.read_bytes()}, ["/pause"], user="65535")
    binary.unlink()
    return target


def full_reference(name: str) -> str:
    """What the kubelet makes of an image's name: `app:1` is `docker.io/library/app:1`."""
    first, slash, _ = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif "." not in first and ":" not in first and first != "localhost":
        name = f"docker.io/{name}"
    last = name.rpartition("/")[2]
    return name if ":" in last or "@" in last else f"{name}:latest"


def names_in(path: Path) -> dict[str, str]:
    """Full reference -> digest ("" in a docker archive) of the images in a docker or OCI archive.

    Raises ClusterError for what is no such archive, or has no names.
    """
    try:
        with tarfile.open(path) as packed:
            members = set(packed.getnames())
            listing = next((name for name in ("index.json", "manifest.json") if name in members), None)
            content = packed.extractfile(listing) if listing else None
            listed = json.load(content) if content else None
    except FileNotFoundError:
        raise ClusterError(f"{path}: no such file", exit_code=2) from None
    except (tarfile.TarError, OSError, ValueError) as error:
        raise ClusterError(f"{path} is no image archive: {error}", exit_code=2) from None
    found = {}
    if isinstance(listed, list):
        found = {full_reference(tag): "" for image in listed for tag in image.get("RepoTags") or []}
    elif isinstance(listed, dict):
        for manifest in listed.get("manifests", []):
            notes = manifest.get("annotations") or {}
            name = notes.get(IMAGE_NAME) or notes.get(REFERENCE_NAME, "")
            if (
                "/" in name or ":" in name
            ):  # a bare tag, as `buildah push oci-archive:FILE:TAG` writes it, names nothing
                found[full_reference(name)] = manifest["digest"]
    if not found:
        raise ClusterError(
            f"{path} names no image (it must be a docker or OCI archive that carries REPOSITORY:TAG): write it with "
            "`docker save REPOSITORY:TAG -o FILE` or `buildah push IMAGE docker-archive:FILE:REPOSITORY:TAG`",
            exit_code=2,
        )
    return found


def load(places: Places, path: Path) -> list[str]:
    """Take the archive's images into the cluster; returns their references, as pods may name them."""
    names = names_in(path)
    ctr = ["ctr", "--address", str(places.containerd_socket), "--namespace", "k8s.io", "images"]
    node = inside_node(places)
    # By its digest an image is found that containerd calls otherwise; a docker archive does not tell it.
    run(*ctr, "import", *(["--digests"] if any(names.values()) else []), str(path.resolve()), within=node)
    for name, digest in names.items():
        present = images(run(*ctr, "list", within=node))
        if name not in present and digest:
            by_digest = next((known for known, its in present.items() if its == digest), None)
            if by_digest is not None:
                run(*ctr, "tag", by_digest, name, within=node)
                continue
        if name not in present:
            raise ClusterError(f"{path}: containerd took it, but has no {name}; it has {', '.join(sorted(present))}")
    return sorted(names)


def images(listing: str) -> dict[str, str]:
    """Reference -> digest, out of the table of `ctr images list`."""
    rows = [line.split() for line in listing.splitlines()[1:]]
    return {row[0]: row[2] for row in rows if len(row) > 2}
