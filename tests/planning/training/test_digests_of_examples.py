"""What decides whether anything is trained again, of the examples as they were released: nothing has to run for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops.api.kinds import parse
from mlops.api.training_run import TrainingRun
from mlops.planning.training.manifests import inputs_digest
from mlops.planning.training.recipe import change_name

ROOT = Path(__file__).parents[3]
# Of runs before planners were split by kind: tests/e2e/test_digests.py runs the examples again.
GOLDEN: dict[str, Any] = yaml.safe_load((ROOT / "tests/e2e/golden/digests.yaml").read_text())
EXAMPLES = sorted(name for name in GOLDEN if name != "environment")


def template_of(example: str) -> TrainingRun:
    """Return the TrainingRun of an example, as a user applies it."""
    documents = yaml.safe_load_all((ROOT / "examples" / example / f"{example}.yaml").read_text())
    (manifest,) = (each for each in documents if each["kind"] == "TrainingRun")
    run = parse({**manifest, "metadata": {"namespace": "default", **manifest["metadata"]}})
    assert isinstance(run, TrainingRun)
    return run


def test_every_example_has_golden_digests() -> None:
    """Also one that is added tomorrow."""
    assert sorted(path.parent.name for path in (ROOT / "examples").glob("*/scenario.toml")) == EXAMPLES


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_run_of_an_example_keeps_name_and_inputs_digest(example: str) -> None:
    """A field that a release adds changes neither: the run that was made is found, and nothing is trained again."""
    run, golden = template_of(example), GOLDEN[example]
    name = change_name(run) if run.spec.triggers else run.metadata.name
    data = golden[f"Dataset/{run.spec.dataset_ref.name}"]["digest"]
    wanted = {f"TrainingRun/{name}": inputs_digest(run.spec, data, GOLDEN["environment"])}
    assert wanted == {key: value["inputsDigest"] for key, value in golden.items() if key.startswith("TrainingRun/")}
