"""Which number a run's model gets, whether there is anything new to register, and what is said of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from mlops.api import labels
from mlops.api.conditions import find
from mlops.api.training_run import TrainingRun
from mlops.planning.ownership import key_of
from mlops.planning.training.children import model_version, trained_as
from mlops.planning.training.registering import free_number, made_of_the_same
from mlops.planning.training.run import plan
from mlops.planning.views import JobView, TrainingRunView
from tests.planning.builders import (
    NOW,
    SETTINGS,
    a_container_run,
    a_live_version,
    a_run,
    a_train_report,
    a_version,
    a_versioned_dataset,
    digest,
    finished,
    with_status,
)

FIGURES = "roc_auc on test: 0.8312 >= 0.80; no champion yet"


def by(kind: str) -> dict[str, Any]:
    """Return the metadata of a run that such an event made."""
    return {"annotations": {labels.TRIGGER: json.dumps({"kind": kind})}}


def after(view: TrainingRunView, *jobs: JobView, **changes: Any) -> TrainingRunView:
    view = replace(view, jobs=jobs or view.jobs, **changes)
    return replace(view, run=with_status(view.run, plan(view).statuses[key_of(view.run)].dump()))


def trained(run: TrainingRun | None = None, **changes: Any) -> TrainingRunView:
    """Return the view of a run whose Job has reported."""
    given = {"dataset": a_versioned_dataset(), **changes}
    view = after(TrainingRunView(NOW, SETTINGS, run or a_run(), **given))
    [job] = plan(view).create
    return replace(view, jobs=(finished(job, a_train_report()),))


def said(view: TrainingRunView, type_: str = "Ready") -> tuple[str, str, str]:
    found = find(view.run.status.conditions, type_)
    assert found is not None
    return found.status, found.reason, found.message


def made(view: TrainingRunView) -> list[str]:
    return [each["metadata"]["name"] for each in plan(view).create]


def test_a_version_that_is_being_made_is_named_and_then_the_figures_are() -> None:
    """Ready when it was seen."""
    view = after(trained())
    assert said(view) == ("Unknown", "GatesPassed", "making ModelVersion rain-v1")
    assert view.run.status.model_version_ref == "rain-v1"
    version = a_version(1, spec={"artifact": {"digest": digest("f")}, "lineage": {"trainingRun": "rain-1"}})
    done = after(replace(view, versions=(version,)))
    assert said(done) == ("True", "Succeeded", FIGURES)
    assert done.run.status.model_version_ref == "rain-v1"
    assert plan(done).create == ()


@pytest.mark.parametrize(
    ("there", "number"),
    [
        pytest.param("rain-v7", 7, id="ours, and free"),
        pytest.param("rain-v999999", 999_999, id="the last one"),
        pytest.param("rain-v0", 1, id="no number of a version"),
        pytest.param("rain-v1000000", 1, id="one too many"),
        pytest.param("rain-v07", 1, id="written otherwise"),
        pytest.param("sun-v7", 1, id="of another model"),
        pytest.param("rain-vx", 1, id="no number"),
        pytest.param("seven", 1, id="no name of ours"),
        pytest.param(None, 1, id="none"),
    ],
)
def test_a_number_on_record_is_kept_if_an_operator_wrote_it(there: str | None, number: int) -> None:
    """Anybody may write a status; what is no number of this model's is not used."""
    view = trained()
    view = replace(view, run=view.run.evolve(status=view.run.status.evolve(model_version_ref=there)))
    assert made(view) == [f"rain-v{number}"]


def test_a_number_on_record_that_was_taken_meanwhile_is_given_up() -> None:
    """Another version has that name."""
    view = after(trained())
    other = a_version(1, spec={"lineage": {"trainingRun": "other"}})
    assert made(replace(view, versions=(other,))) == ["rain-v2"]
    assert made(replace(view, versions=(a_version(4, spec={"lineage": {"trainingRun": "other"}}),))) == ["rain-v1"]


def test_numbers_on_the_record_of_the_model_are_not_used_again() -> None:
    """Nor those of names that are there under another number."""
    line = {"time": "2026-01-01T00:00:00Z", "event": "Registered", "version": "rain-v8", "uid": "u", "number": 8}
    history = ({"metadata": {"name": "rain-history"}, "data": {"history.jsonl": json.dumps(line)}},)
    view = TrainingRunView(NOW, SETTINGS, a_run(), history=history)
    assert free_number(view) == 9
    assert free_number(replace(view, versions=(a_version(9),))) == 10
    odd = a_version(3, metadata={"name": "rain-v9"})
    assert free_number(replace(view, versions=(odd,))) == 10
    mine = a_run(status={"modelVersionRef": "rain-v9"})
    assert free_number(replace(view, siblings=(mine,))) == 9, "the run itself speaks for nobody else"
    no_model = a_run(metadata={"name": "o"}, spec={"register": None}, status={"modelVersionRef": "rain-v9"})
    assert free_number(replace(view, siblings=(no_model,))) == 9


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"spec": {"lineage": {"trainingRun": "other"}}}, id="of another run"),
        pytest.param({"spec": {"artifact": {"digest": digest("e")}}}, id="of other bytes"),
        pytest.param(
            {
                "spec": {"artifact": None, "source": {"trainingRunRef": {"name": "rain-1"}}},
                "status": {"artifact": digest("f")},
            },
            id="of no bytes of its own",
        ),
    ],
)
def test_a_version_of_the_runs_name_that_is_not_its_own_is_left_alone(changes: dict[str, Any]) -> None:
    """The next number is taken."""
    mine = {"artifact": {"digest": digest("f")}, "lineage": {"trainingRun": "rain-1"}, "withdrawn": True}
    view = after(trained())
    assert made(replace(view, versions=(a_version(1, spec=mine),))) == []
    other = a_version(1, **{**changes, "spec": {**mine, **changes["spec"]}})
    assert made(replace(view, versions=(other,))) == ["rain-v2"]


def serves(**changes: Any) -> Any:
    """Return a live version of the bytes that the report tells."""
    return a_live_version(1, **{"status": {"artifact": digest("f")}, **changes})


def test_the_model_that_serves_is_not_registered_again() -> None:
    """Whoever asks. A number that was on record is none any more."""
    message = f"ModelVersion rain-v1 is this model, byte for byte ({digest('f')}): no version is made"
    run = a_run(spec={"gates": []})
    view = trained(run, versions=(serves(),))
    view = replace(view, run=view.run.evolve(status=view.run.status.evolve(model_version_ref="rain-v2")))
    done = after(view)
    assert said(done) == ("True", "NothingNew", message)
    assert done.run.status.model_version_ref is None
    assert said(done, "GatesPassed")[0] == "True"
    assert made(replace(view, versions=(serves(), a_live_version(2)))) == ["rain-v3"]


INPUTS = digest("9")
OF_INPUTS = {"lineage": {"trainingRun": "rain-0", "inputsDigest": INPUTS}}


def the_same(version: Any, run: TrainingRun | None = None, inputs: str = INPUTS) -> bool:
    view = TrainingRunView(NOW, SETTINGS, run or a_run(metadata=by("DriftMonitor")), versions=(version,))
    return made_of_the_same(view, inputs) is not None


def test_a_monitors_run_on_the_inputs_of_what_serves_would_make_the_same() -> None:
    """Lineage of the status, or of the spec while the status has none."""
    assert the_same(serves(status={"lineage": OF_INPUTS["lineage"]}))
    assert the_same(a_version(1, spec=OF_INPUTS))
    assert not the_same(serves(status={"lineage": OF_INPUTS["lineage"]}), inputs=digest("8"))
    assert not the_same(serves(spec=OF_INPUTS)), "its status says that it came of something else"
    nameless = a_version(1, spec={**OF_INPUTS, "artifact": None, "source": {"trainingRunRef": {"name": "rain-0"}}})
    assert not the_same(nameless), "nobody knows its bytes yet"


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(a_run(), id="a person's"),
        pytest.param(a_run(metadata=by("DatasetVersion")), id="new data"),
        pytest.param(a_run(metadata=by("DriftMonitor"), spec={"register": None, "gates": []}), id="it registers none"),
        pytest.param(
            a_run(metadata=by("DriftMonitor"), spec={"reproducibility": {"verify": "Once"}}), id="it is to be proven"
        ),
    ],
)
def test_any_other_run_is_trained(run: TrainingRun) -> None:
    """Whoever asked for it wants to see its metrics and gates, or a proof."""
    assert not the_same(serves(status={"lineage": OF_INPUTS["lineage"]}), run)


def test_a_run_that_trains_nothing_says_so() -> None:
    """Done, with the bytes of the version that is there, and no gates judged."""
    run = a_run(metadata=by("DriftMonitor"))
    first = TrainingRunView(NOW, SETTINGS, run, dataset=a_versioned_dataset())
    inputs = after(first).run.status.inputs_digest
    version = a_version(1, spec={"lineage": {"trainingRun": "rain-0", "inputsDigest": inputs}})
    view = after(after(replace(first, versions=(version,))))
    message = f"ModelVersion rain-v1 is this model, byte for byte ({digest('1')}): no version is made"
    assert said(view) == ("True", "NothingNew", message)
    assert said(view, "Succeeded") == (
        "True",
        "NothingNew",
        "the inputs are those of ModelVersion rain-v1: nothing is trained",
    )
    assert view.run.status.output_digest == digest("1")
    assert find(view.run.status.conditions, "GatesPassed") is None
    assert plan(view).create == ()


# --- what is made ---


def test_a_version_carries_where_it_comes_from() -> None:
    """In its lineage and labels; what the run does not know is left out."""
    spec = {
        "datasetRef": {"since": "2025-01-01T00:00:00Z"},
        "register": {"capture": {"percent": 5}, "promotion": {"stages": [{"name": "production", "replicas": 3}]}},
    }
    view = trained(a_run(spec=spec), versions=(a_live_version(1),))
    report = a_train_report(
        best_params={"C": "1"}, champion_metrics=[{"name": "roc_auc", "dataset": "test", "value": "0.5"}]
    )
    [manifest] = plan(replace(view, jobs=(finished(view.jobs[0].manifest, report),))).create
    assert manifest["spec"]["lineage"] == {
        "trainingRun": "rain-1",
        "dataset": "weather",
        "datasetVersion": 1,
        "datasetDigest": digest("1"),
        "inputsDigest": view.run.status.inputs_digest,
        "environmentDigest": digest("e"),
        "parentVersion": "rain-v1",
        "estimator": {"name": "LogisticRegression", "params": {"C": "1"}},
        "since": "2025-01-01T00:00:00Z",
    }
    assert (manifest["spec"]["modelName"], manifest["spec"]["version"]) == ("rain", 2)
    assert manifest["spec"]["artifact"] == {"digest": digest("f")}
    assert manifest["spec"]["capture"]["percent"] == 5
    assert manifest["spec"]["promotion"]["stages"][0]["replicas"] == 3
    named = {
        name: manifest["metadata"]["labels"][f"mlops.dev/{name}"] for name in ("run", "model", "dataset", "digest")
    }
    assert named == {"run": "rain-1", "model": "rain", "dataset": "weather", "digest": "f" * 16}
    assert "ownerReferences" not in manifest["metadata"], "deleting the run must not take the model down"


@pytest.mark.parametrize("without", ["register", "resolved", "outputDigest"])
def test_nothing_is_made_of_a_run_that_has_nothing_to_register(without: str) -> None:
    """It would be a version that nobody can serve."""
    view = after(trained())
    manifest = view.run.dump()
    manifest["status" if without != "register" else "spec"].pop(without)
    if without == "register":
        manifest["spec"].pop("gates")
    with pytest.raises(ValueError, match=r"^TrainingRun rain-1 has nothing to register$"):
        model_version(TrainingRun.model_validate(manifest), 1)


def test_what_a_search_found_stands_in_the_lineage_as_far_as_a_spec_may_hold_it() -> None:
    """A pod says what it likes: names of parameters only, 64 of them, the spec's own first."""
    found = {f"p{number}": "1" for number in range(80)} | {"C": "2", "1st": "x", "a-b": "x", "n" * 65: "x", "": "x"}
    estimator = trained_as(a_run(status={"bestParams": found}))
    assert estimator is not None
    assert list(estimator.params.items()) == [("C", "2"), *((f"p{number}", "1") for number in range(63))]
    none = trained_as(a_run())
    assert none is not None
    assert none.params == {"C": "0.1"}
    assert trained_as(a_container_run()) is None
