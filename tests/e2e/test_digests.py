"""The digests of the examples stay from release to release: no data is made again, no model trained again for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops.workloads.train import environment
from tests.e2e.runs import objects, run
from tests.servers.example_database import environ_of

EXAMPLES = Path(__file__).parents[2] / "examples"
GOLDEN = Path(__file__).parent / "golden" / "digests.yaml"
DIGESTS = {
    "Dataset": ("digest", "schemaDigest", "artifact"),
    "TrainingRun": ("inputsDigest", "outputDigest", "predictionDigest"),
    "ModelVersion": ("artifact",),
}
# The others take longer, and show the same.
LONG = ("weather", "employment")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def digests_of(state: Path) -> dict[str, dict[str, str]]:
    """Return the digests in the statuses of a state folder, by kind and name."""
    found = {}
    for kind, names in DIGESTS.items():
        for manifest in objects(state, kind):
            status = manifest.get("status", {})
            if known := {name: status[name] for name in names if name in status}:
                found[f"{kind}/{manifest['metadata']['name']}"] = known
    return found


@pytest.mark.parametrize(
    "example",
    [
        pytest.param(path.parent.name, marks=[pytest.mark.long] if path.parent.name in LONG else [])
        for path in sorted(EXAMPLES.glob("*/scenario.toml"))
    ],
)
def test_an_example_gives_the_digests_of_the_release_before(
    example: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Content, inputs, models and answers, whole; of other versions of libraries the content alone."""
    environ = environ_of(EXAMPLES / example, lambda: request.getfixturevalue("postgresql_running"))
    ended = run(EXAMPLES / example, tmp_path / "state", "--no-replay", timeout=600, environ=environ)
    assert ended.code == 0
    golden: dict[str, Any] = yaml.safe_load(GOLDEN.read_text())
    found = digests_of(tmp_path / "state")
    if request.config.getoption("--update-golden", default=False):
        golden |= {example: found, "environment": environment.digest()}
        GOLDEN.write_text(yaml.safe_dump(golden, sort_keys=True))
        return
    if golden["environment"] != environment.digest():
        datasets = {name: known["digest"] for name, known in found.items() if name.startswith("Dataset/")}
        assert datasets == {name: golden[example][name]["digest"] for name in datasets}
        pytest.skip("other versions of libraries than those of the golden digests: of models nothing is promised")
    assert found == golden[example], "differs from golden/digests.yaml: every user of the last release would retrain"
