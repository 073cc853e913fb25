"""`kubectl get` on the four kinds, by real kubectl against a real API server: what a person wants to know."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from mlops.api import kinds, tasks
from mlops.api.crd import crds
from mlops.cli.tables import aligned, rows
from tests.kstatus.kubectl import kubectl
from tests.planning.builders import NOW, a_dataset, a_run, a_version
from tests.planning.test_any_history import STAGES, answers
from tests.planning.test_loop import CHECK_TIME, a_world
from tests.planning.world import World
from tests.servers.apiserver import ApiServer

pytestmark = pytest.mark.apiserver
GOLDEN = Path(__file__).parent / "golden"
SHORT = {"Dataset": "dset", "TrainingRun": "trun", "ModelVersion": "mver", "DriftMonitor": "dmon"}
_AGE = re.compile(r"^(\d+[smhdy])+$")


def a_worked_world() -> World:
    """Return the loop after a drift, and beside it what went wrong, what is under way and what nobody looked at."""
    world = a_world()
    world.settle()
    world.schedule("rain-drift-check", CHECK_TIME)
    world.settle()
    good = world.pods
    refused = tasks.FailureReport(reason="Rejected", message="rule wind: 3 of 100 rows break it, such as row 17")

    def pods(task: tasks.Task) -> tasks.Report | None:
        match task:
            case tasks.IngestTask():
                return refused
            case tasks.TrainTask() if task.run == "weak":
                return answers("3", "0.5", "Stable")(task)  # type: ignore[no-any-return]
            case tasks.TrainTask() if task.run == "slow":
                return None
        return good(task)

    world.pods = pods
    world.put(
        a_dataset(metadata={"name": "dirty", "uid": "uid-dirty"}),
        a_run(metadata={"name": "weak"}, spec={"reproducibility": {"seed": 1}}),
        a_run(metadata={"name": "slow"}, spec={"reproducibility": {"seed": 2}}),
        a_run(metadata={"name": "orphan"}, spec={"datasetRef": {"name": "nowhere"}}),
        a_version(3, spec={"promotion": STAGES}),
    )
    for _ in range(12):
        for plan in world.plans():
            world.carry_out(plan)
        world.tick()
    # Nobody has looked at this one.
    world.put(a_dataset(metadata={"name": "new", "uid": "uid-new"}))
    return world


def put(server: ApiServer, namespace: str, world: World) -> None:
    for key, manifest in sorted(world.objects.items()):
        if key.kind in kinds.KINDS:
            metadata = {"name": key.name, "namespace": namespace}
            named = {"apiVersion": manifest["apiVersion"], "kind": key.kind, "metadata": metadata}
            code, answer = server.create({**named, "spec": manifest["spec"]})
            assert code == 201, answer
            status = manifest.get("status") or {}
            if status.get("conditions"):
                code, answer = server.apply({**named, "status": status}, "status")
                assert code == 200, answer


def cells(printed: str) -> list[list[str]]:
    """Return a printed table cell by cell; ages are what differs between two days."""
    lines = printed.rstrip().splitlines()
    starts = [match.start() for match in re.finditer(r"(?:(?<=   )|^)\S", lines[0])]
    ends = [*starts[1:], None]
    found = [[line[start:end].strip() for start, end in zip(starts, ends, strict=True)] for line in lines]
    return [["<age>" if _AGE.match(cell) else cell for cell in line] for line in found]


@pytest.fixture(scope="module")
def world() -> World:
    return a_worked_world()


@pytest.mark.parametrize("wide", [pytest.param(False, id="narrow"), pytest.param(True, id="wide")])
def test_the_tables(
    apiserver: ApiServer, namespace: str, world: World, wide: bool, request: pytest.FixtureRequest
) -> None:
    """The golden text is what a reviewer reads; `--update-golden` writes it again."""
    apiserver.apply_crds(crds().values())
    put(apiserver, namespace, world)
    tables = []
    for short in SHORT.values():
        output = ["-o", "wide"] if wide else []
        code, printed, complaint = kubectl("get", short, "-n", namespace, *output, server=apiserver)
        assert code == 0, complaint
        tables.append(f"$ kubectl get {short}{' -o wide' if wide else ''}\n{aligned(cells(printed))}\n")
    path = GOLDEN / ("wide.txt" if wide else "narrow.txt")
    if request.config.getoption("--update-golden", default=False):
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(tables))
    assert "\n".join(tables) == path.read_text(), f"differs from {path.name}: if meant, run with --update-golden"


@pytest.mark.parametrize("kind", list(SHORT))
def test_the_command_line_shows_the_same_as_kubectl(
    apiserver: ApiServer, namespace: str, world: World, kind: str
) -> None:
    """`mlops get` computes the columns itself: cell by cell it agrees with the API server."""
    apiserver.apply_crds(crds().values())
    put(apiserver, namespace, world)
    _, printed, _ = kubectl("get", SHORT[kind], "-n", namespace, server=apiserver)
    objects = [manifest for key, manifest in sorted(world.objects.items()) if key.kind == kind]
    ours = rows(kind, objects, NOW + timedelta(days=300))
    assert cells(printed) == [["<age>" if _AGE.match(cell) else cell for cell in line] for line in ours]
