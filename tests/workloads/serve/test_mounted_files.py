"""Files of a mounted Secret: taken when they change, whole, and never of two states."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from pathlib import Path

import pytest

from mlops.workloads.serve.mounted_files import Files, MountedFiles, Unusable, keep_renewing
from tests.workloads.serve.mounts import Mount


class Taken:
    """Notes what it was given, and refuses what holds no key `a`."""

    def __init__(self) -> None:
        self.files: list[dict[str, bytes]] = []

    def take(self, files: Files, place: Path) -> None:
        self.files.append(dict(files))
        assert all((place / name).read_bytes() == content for name, content in files.items())
        if "a" not in files:
            raise Unusable("it must hold a")


async def test_files_are_taken_when_they_change_and_only_then(tmp_path: Path) -> None:
    """Also when they are of no use, which is on record until they are mended."""
    mount, taken = Mount(tmp_path / "secret"), Taken()
    mount.put({"a": "1"})
    mounted = MountedFiles("api-keys", mount.folder, taken.take)
    mounted.read()
    renewing = asyncio.create_task(keep_renewing([mounted], seconds=0.01))
    await asyncio.sleep(0.2)
    assert taken.files == [{"a": b"1\n"}]
    for values, problem in (({"b": "2"}, "it must hold a"), ({"a": "3", "b": "2"}, "")):
        mount.put(values)
        for _ in range(500):
            await asyncio.sleep(0.01)
            if taken.files[-1].keys() == values.keys():
                break
        assert mounted.problem == problem
    renewing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await renewing
    assert len(taken.files) == 3


def test_a_state_that_goes_while_it_is_read_is_not_taken(tmp_path: Path) -> None:
    """A kubelet takes the old folder away: nothing of it, and not nothing, is what the Secret holds."""
    mount, taken = Mount(tmp_path / "secret"), Taken()
    mount.put({"a": "1"})
    mounted = MountedFiles("api-keys", mount.folder, taken.take)
    mounted.read()
    shutil.rmtree((mount.folder / "..data").resolve())
    (mount.folder / "..data").unlink()
    mounted.renew()
    assert len(taken.files) == 1
    mount.put({"a": "2"})
    mounted.renew()
    assert taken.files[1:] == [{"a": b"2\n"}]


def test_a_folder_that_is_not_there_is_of_no_use(tmp_path: Path) -> None:
    with pytest.raises(Unusable):
        MountedFiles("api-keys", tmp_path / "nothing", Taken().take).read()


def test_plain_files_are_read_as_well(tmp_path: Path) -> None:
    """As on one machine: folders beside them, and files that no Secret could hold, are none."""
    taken = Taken()
    (tmp_path / "a").write_text("1")
    (tmp_path / "large").write_bytes(bytes((1 << 20) + 1))
    (tmp_path / "folder").mkdir()
    mounted = MountedFiles("tls", tmp_path, taken.take)
    mounted.read()
    (tmp_path / "a").write_text("22")
    mounted.renew()
    assert taken.files == [{"a": b"1"}, {"a": b"22"}]
