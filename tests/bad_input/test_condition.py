"""Mistakes that only the data, another object or the stored model shows: a condition says what, and the way out."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from mlops.store import open_store
from tests.api.objects import changed
from tests.bad_input.catalogue import Case, cases, parameters, value_of
from tests.bad_input.files import GOOD, MODELS, content_of
from tests.bad_input.loop import Loop, loop_in

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
]

Object = dict[str, Any]
_FIELDS = [{"name": "a", "type": "float64"}, {"name": "y", "type": "string", "role": "label"}]
_RUN: Object = {"datasetRef": {"name": "good"}, "trainer": {"estimator": {"name": "LogisticRegression"}}}
_SPECS: dict[str, Object] = {
    "Dataset": {"format": "csv", "fields": _FIELDS},
    "TrainingRun": _RUN,
    "ModelVersion": {"modelName": "mistakes", "version": 1},
    "DriftMonitor": {
        "targetRef": {"modelName": "rows"},
        "schedule": "0 * * * *",
        "window": {"duration": "1d"},
        "checks": [{"name": "inputs", "type": "DataDrift"}],
        "actions": [{"when": ["DataQuality"], "do": "Hold"}],
    },
}
# What is different in every run stands in a message as one of these.
_VARYING = {"<number>": r"[0-9.]+", "<versions>": r"\{.*\}"}


def an_object(kind: str, name: str, changes: Mapping[str, Any] | None = None) -> Object:
    """A valid object with a case's changes."""
    spec = dict(_SPECS[kind])
    if kind == "Dataset":
        spec["source"] = {"s3": {"uri": f"s3://raw/{name}/"}}
    base = {"apiVersion": "mlops.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
    return changed(base, {path: value_of(value) for path, value in (changes or {}).items()})


class World:
    """What every case finds: a good Dataset, run and model, a template; and what some of them miss."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.store = open_store(loop.state.store.resolve().as_uri(), {})
        self.versions = 0

    async def begin(self) -> None:
        self.loop.put("good", {"rows.csv": GOOD.encode()})
        self.loop.put("unlabelled", {"rows.csv": GOOD.encode()})
        await self.loop.apply(an_object("Dataset", "good"))
        await self.loop.apply(an_object("Dataset", "unready"))
        await self.loop.apply(an_object("Dataset", "unlabelled", {"spec.fields": [_FIELDS[0]]}))
        leak = [{"name": "f", "expression": "y = 'no'"}]
        self.loop.put("leaky", {"rows.csv": GOOD.encode()})
        await self.loop.apply(an_object("Dataset", "leaky", {"spec.features": leak}))
        await self.loop.apply(an_object("TrainingRun", "run", {"spec.register": {"modelName": "rows"}}))
        template = {"spec.triggers": [{"datasetVersion": {}}], "spec.suspend": True}
        await self.loop.apply(an_object("TrainingRun", "template", template))
        await self.loop.settled()
        assert self.loop.ready(an_object("ModelVersion", "rows-v1"))[0] == "True"

    def status(self, kind: str, name: str) -> Object:
        present = self.loop.present(an_object(kind, name))
        assert present is not None
        status: Object = present["status"]
        return status

    def manifest(self, case: Case, scratch: Path) -> Object:
        """The case's object, with the user's mistake in it; its files are put, its model is stored."""
        manifest = an_object(case["kind"], case["id"], case.get("spec"))
        if case["kind"] == "Dataset":
            files = case.get("files", {"rows.csv": GOOD})
            self.loop.put(case["id"], {name: content_of(written) for name, written in files.items()})
        if case["kind"] == "ModelVersion":
            self.versions += 1
            manifest["spec"]["version"] = self.versions
            if case.get("artifact") == "dataset":
                manifest["spec"]["artifact"] = {"digest": self.status("Dataset", "good")["artifact"]}
            elif "model" in case:
                manifest["spec"]["artifact"] = {"digest": self._stored(case, scratch)}
        return manifest

    def _stored(self, case: Case, scratch: Path) -> str:
        folder = scratch / "model"
        self.store.get(self.status("TrainingRun", "run")["outputDigest"], folder)
        MODELS[case["model"]](folder)
        if case.get("altered"):
            (folder / "metrics.json").write_text("{}")
        digest = self.store.put_directory(folder).digest
        if case.get("altered"):
            (blob,) = (file for file in (self.loop.state.store / "blobs").rglob("*") if _is(file, b"{}"))
            blob.chmod(0o644)
            blob.write_bytes(b"[]")
        return digest

    def mended(self, case: Case, manifest: Object) -> Object:
        """What the user applies next, after putting right the files or making what was missing."""
        mend = case.get("mend", {"files": {"rows.csv": GOOD}} if case["kind"] == "Dataset" else {})
        if "files" in mend:
            self.loop.put(case["id"], {name: content_of(written) for name, written in mend["files"].items()})
        after = changed(manifest, {path: value_of(value) for path, value in mend.get("spec", {}).items()})
        if case["kind"] == "TrainingRun" and "spec" in mend:
            after["metadata"] = {"name": f"{case['id']}-2"}
        return after


def _is(file: Path, content: bytes) -> bool:
    return file.is_file() and file.stat().st_size == len(content) and file.read_bytes() == content


def pattern_of(message: str) -> str:
    """A case's message as a regular expression for the whole of what is said."""
    parts = re.split("(" + "|".join(_VARYING) + ")", message)
    return "".join(_VARYING.get(part, re.escape(part)) for part in parts)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One loop for all cases."""
    async with AsyncExitStack() as stack:
        loop = await stack.enter_async_context(loop_in(tmp_path_factory.mktemp("loop")))
        world = World(loop)
        await world.begin()
        yield world


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A pickle that is read leaves its file here."""
    monkeypatch.chdir(tmp_path)
    yield
    assert not (tmp_path / "ran").exists()


async def bad(world: World, case: Case, scratch: Path) -> tuple[Object, tuple[str, str, str]]:
    """Do what the case says; return its object and what its Ready condition says."""
    manifest = world.manifest(case, scratch)
    await world.loop.apply(manifest)
    await world.loop.settled()
    return manifest, world.loop.ready(manifest)


@pytest.mark.parametrize("case", parameters("condition"))
@pytest.mark.asyncio(loop_scope="module")
async def test_a_condition_says_what_is_wrong_and_mending_it_is_enough(
    world: World, tmp_path: Path, case: Case
) -> None:
    """A reason, a message that names the place, and Ready once it is put right, without deleting anything."""
    manifest, (status, reason, message) = await bad(world, case, tmp_path)
    assert (status, reason) == ("False", case["reason"]), message
    assert re.fullmatch(pattern_of(case["message"]), message), message
    if case["kind"] == "ModelVersion":
        return  # immutable: below, a new one of the same model
    for name in case.get("mend", {}).get("objects", ()):
        world.loop.put(name, {"rows.csv": GOOD.encode()})
        await world.loop.apply(an_object("Dataset", name), requeue_at=True)
    if "objects" not in case.get("mend", {}):
        mended = world.mended(case, manifest)
        await world.loop.apply(mended, requeue_at=case["kind"] == "Dataset")
    else:
        mended = manifest
    await world.loop.settled()
    status, reason, message = world.loop.ready(mended)
    assert status == "True", f"{reason}: {message}"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_good_version_of_the_same_model_is_served_beside_all_the_bad_ones(world: World, tmp_path: Path) -> None:
    """The way out of an artifact that cannot be used: what was refused stands in nobody's way."""
    case = {"id": "version-good", "kind": "ModelVersion", "model": "good"}
    _, (status, reason, message) = await bad(world, case, tmp_path)
    assert status == "True", f"{reason}: {message}"


@pytest.mark.asyncio(loop_scope="module")
async def test_no_mistake_of_a_user_s_ends_in_a_traceback(world: World) -> None:
    """In no pod's log."""
    logs = dict(world.loop.logs())
    assert len(logs) >= 5
    assert [name for name, text in logs.items() if "Traceback (most recent call last)" in text] == []


def test_ids_are_names() -> None:
    """Each case's object is named by its id."""
    assert [case["id"] for case in cases("condition") if not re.fullmatch("[a-z0-9-]{1,50}", case["id"])] == []
