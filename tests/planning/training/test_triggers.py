"""Which run a template has to make now, under which name, and what is on record of why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mlops.api import labels
from mlops.api.training_run import TrainingRun
from mlops.planning.ownership import key_of
from mlops.planning.training.children import trigger_of
from mlops.planning.training.recipe import change_name, recipe_digest, template_digest, version_name
from mlops.planning.training.run import plan
from mlops.planning.training.triggers import due_event, pending_event
from mlops.planning.views import TrainingRunView
from tests.planning.builders import (
    NOW,
    SETTINGS,
    a_condition,
    a_live_version,
    a_run,
    a_template,
    a_versioned_dataset,
    digest,
    merged,
)

READY = a_condition("Ready", "True", "Succeeded")
FAILED = [a_condition("Ready", "False", "OOMKilled"), a_condition("Stalled", "True", "OOMKilled")]
PENDING = [a_condition("Ready", "Unknown", "RunPending"), a_condition("Reconciling", "True", "RunPending")]
RETRY = {"metadata": {"annotations": {labels.RETRY: "now"}}}


def seen(**changes: Any) -> TrainingRun:
    """Return a template whose present spec is accounted for, as is version 1 of its Dataset."""
    template = a_template(**{name: value for name, value in changes.items() if name != "status"})
    known = {
        "lastTemplateDigest": template_digest(template),
        "lastRecipeDigest": recipe_digest(template),
        "lastDatasetVersion": 1,
        "lastRun": "rain-1",
    }
    return a_template(**merged({"status": known}, changes))


def a_view(template: TrainingRun, *runs: TrainingRun, version: int = 1) -> TrainingRunView:
    return TrainingRunView(NOW, SETTINGS, template, dataset=a_versioned_dataset(version), siblings=runs)


def due(template: TrainingRun, *runs: TrainingRun, version: int = 1) -> tuple[Any, ...] | None:
    event = due_event(a_view(template, *runs, version=version))
    return (event.name, event.trigger.kind, event.trigger.ref, event.trigger.reason) if event else None


def over(*conditions: dict[str, Any]) -> TrainingRun:
    return a_run(status={"conditions": list(conditions)})


def test_nothing_is_due_while_the_newest_spec_and_version_have_their_run() -> None:
    """The run is there, at work or over, or was deleted after it had served."""
    assert due(seen(), over(READY)) is None
    assert due(seen(), a_run()) is None
    assert due(seen()) is None


def test_a_new_version_is_due_once() -> None:
    """Unless a run has it, or is going to take it."""
    new = ("rain-d2", "DatasetVersion", "weather", "version 2")
    assert due(seen(), over(READY), version=2) == new
    of_template = {"metadata": {"labels": {labels.TEMPLATE: "rain"}}}
    assert due(seen(), a_run(**of_template), version=2) is None, "it is not pinned yet, and takes what is newest"
    for rests in (
        {"spec": {"suspend": True}},
        {"spec": {"datasetRef": {"version": 1}}},
        {"status": {"conditions": FAILED}},
    ):
        assert due(seen(), a_run(**merged(of_template, rests)), version=2) == new


def test_an_edit_is_due_and_named_by_its_digest() -> None:
    """An edit of what decides nothing is none; one after a failed run is, whatever it is."""
    edited = seen(status={"lastRecipeDigest": "sha256:" + "0" * 64}, metadata={"generation": 4})
    assert due(edited, over(READY)) == (change_name(edited), "TemplateChange", "rain", "generation 4")
    first = a_template()
    assert due(first) == (change_name(first), "TemplateChange", "rain", "created")
    beside = {"lastTemplateDigest": "sha256:" + "0" * 64}
    assert due(seen(status=beside), over(READY)) is None
    assert due(seen(status={**beside, "conditions": FAILED}), over(*FAILED)) is not None


def test_a_retry_is_due_unless_the_newest_run_is_at_work() -> None:
    """With the person's text in its record and in its name."""
    found = due(seen(**RETRY), over(READY))
    assert found is not None
    name, *record = found
    assert record == ["Retry", "rain", "mlops.dev/retry: now"]
    assert name.startswith("rain-r")
    other = due(seen(metadata={"annotations": {labels.RETRY: "again"}}), over(READY))
    assert other is not None
    assert other[0] != name
    assert due(seen(**RETRY), over(*FAILED)) == found
    assert due(seen(**RETRY)) == found
    assert due(seen(**RETRY), a_run()) is None


def test_a_retry_of_an_edited_template_accounts_for_the_edit() -> None:
    """Its run is of the present spec: no second one follows."""
    edited = seen(**RETRY, status={"lastRecipeDigest": "sha256:" + "0" * 64})
    status = plan(a_view(edited, over(READY))).statuses[key_of(edited)]
    assert status.dump()["lastRecipeDigest"] == recipe_digest(edited)
    assert status.dump()["lastTrigger"]["kind"] == "Retry"
    assert status.dump()["retried"] == "now"


def test_a_failed_run_that_was_deleted_is_made_again() -> None:
    """Under its name, with its record; one that had not failed is not."""
    why = {"kind": "DatasetVersion", "ref": "weather", "reason": "version 1"}
    lost = seen(status={"conditions": FAILED, "lastTrigger": why})
    assert due(lost) == ("rain-1", "DatasetVersion", "weather", "version 1")
    assert due(seen(status={"conditions": FAILED})) == ("rain-1", "TemplateChange", "rain", "created")
    assert due(lost, over(*FAILED)) is None
    refused = [a_condition("Ready", "False", "NotServing"), a_condition("Stalled", "True", "NotServing")]
    assert due(seen(status={"conditions": refused})) is None


def pending(template: TrainingRun, *runs: TrainingRun) -> tuple[str, str, str] | None:
    event = pending_event(a_view(template, *runs))
    return (event.name, event.trigger.kind, event.trigger.reason) if event else None


def test_an_event_on_record_waits_until_its_run_is_seen() -> None:
    """An edit meanwhile makes a run of its own instead; a new version does not go by it."""
    edit = {"kind": "TemplateChange", "ref": "rain", "reason": "created"}
    data = {"kind": "DatasetVersion", "ref": "weather", "reason": "version 1"}
    other = {"lastRecipeDigest": "sha256:" + "0" * 64}
    assert pending(seen(status={"conditions": PENDING, "lastTrigger": edit})) == ("rain-1", "TemplateChange", "created")
    assert pending(seen(status={"conditions": PENDING, "lastTrigger": edit, **other})) is None
    assert pending(seen(status={"conditions": PENDING, "lastTrigger": data, **other})) == (
        "rain-1",
        "DatasetVersion",
        "version 1",
    )
    assert pending(seen(status={"conditions": PENDING, "lastTrigger": edit}), a_run()) is None
    assert pending(seen(status={"conditions": PENDING[:1], "lastTrigger": edit})) is None


def test_an_event_of_an_earlier_release_is_told_by_its_name() -> None:
    """It wrote no record."""
    template = seen()
    change = seen(status={"conditions": PENDING, "lastRun": change_name(template)})
    assert pending(change) == (change_name(template), "TemplateChange", "created")
    data = seen(status={"conditions": PENDING, "lastRun": version_name(template, 1)})
    assert pending(data) == ("rain-d1", "DatasetVersion", "version 1")
    assert pending(seen(status={"conditions": PENDING, "lastRun": "rain-other"})) is None


def test_suspending_a_template_is_no_edit() -> None:
    """Of neither digest; another recipe is one of both."""
    rests, other = a_template(spec={"suspend": True}), a_template(spec={"reproducibility": {"seed": 7}})
    assert template_digest(rests) == template_digest(a_template())
    assert recipe_digest(rests) == recipe_digest(a_template())
    assert template_digest(other) != template_digest(a_template())
    assert recipe_digest(other) != recipe_digest(a_template())


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        pytest.param('{"kind": "Retry"}', "Retry", id="a record"),
        pytest.param('{"kind": 3}', None, id="a number"),
        pytest.param('["kind"]', None, id="a list"),
        pytest.param("kind", None, id="no JSON"),
        pytest.param(None, None, id="none"),
    ],
)
def test_what_made_a_run_is_read_with_care(record: str | None, kind: str | None) -> None:
    """Anybody may write an annotation."""
    annotations = {} if record is None else {labels.TRIGGER: record}
    assert trigger_of(a_run(metadata={"annotations": annotations})) == kind


def test_a_template_that_fires_on_no_edit_notes_none() -> None:
    """So that its spec makes a run when it is told to fire on edits."""
    template = a_template(spec={"triggers": [{"datasetVersion": {}}]})
    status = plan(a_view(template)).statuses[key_of(template)].dump()
    assert status["lastTrigger"]["kind"] == "DatasetVersion"
    assert "lastRecipeDigest" not in status
    assert "lastTemplateDigest" not in status


def test_an_edit_is_not_forgotten_over_a_run_that_is_made_again() -> None:
    """The lost run comes first, as it was; the edit is due after it."""
    why = {"kind": "DatasetVersion", "ref": "weather", "reason": "version 1"}
    other = {"lastRecipeDigest": "sha256:" + "0" * 64}
    lost = seen(status={"conditions": FAILED, "lastTrigger": why, **other})
    status = plan(a_view(lost)).statuses[key_of(lost)].dump()
    assert (status["lastRun"], status["lastTrigger"]["kind"]) == ("rain-1", "DatasetVersion")
    assert status["lastRecipeDigest"] == other["lastRecipeDigest"]


def test_a_run_of_the_same_spec_that_made_no_model_is_made_again() -> None:
    """Under a name of its own: nothing serves, and nothing came of the first one."""
    edited = seen(status={"lastRecipeDigest": "sha256:" + "0" * 64}, metadata={"generation": 3})
    name = change_name(edited)
    before = a_run(metadata={"name": name, "uid": "u"}, status={"conditions": FAILED})
    found = due(edited, before)
    assert found is not None
    assert found[0] == f"rain-{labels.short(template_digest(edited), 8)}-g3", "as an earlier release would name it"
    at_work = a_run(metadata={"name": name, "uid": "u"})
    assert due(edited, at_work) == (name, "TemplateChange", "rain", "generation 3")


def test_a_run_of_the_same_spec_whose_model_serves_is_that_run() -> None:
    """An edit that was taken back calls for nothing new."""
    edited = seen(status={"lastRecipeDigest": "sha256:" + "0" * 64}, metadata={"generation": 3})
    name = change_name(edited)
    before = a_run(metadata={"name": name, "uid": "u"}, status={"conditions": [READY], "outputDigest": digest("1")})
    for version, same in ((a_live_version(1), True), (a_live_version(2), False)):
        event = due_event(replace(a_view(edited, before), versions=(version,)))
        assert event is not None
        assert (event.name == name) is same


def test_a_run_that_failed_for_now_and_was_deleted_is_made_again() -> None:
    """The template says that another attempt follows; that attempt is gone with its run."""
    waits = [a_condition("Ready", "False", "StoreUnavailable"), a_condition("Reconciling", "True", "StoreUnavailable")]
    assert due(seen(status={"conditions": waits})) == ("rain-1", "TemplateChange", "rain", "created")
    assert due(seen(status={"conditions": waits[:1]})) is None


def test_a_version_that_fired_is_on_record_at_once() -> None:
    """So that it fires once, also if its run is deleted."""
    template = seen()
    status = plan(a_view(template, over(READY), version=2)).statuses[key_of(template)].dump()
    assert status["lastTrigger"]["kind"] == "DatasetVersion"
    assert status["lastDatasetVersion"] == 2


def test_a_suspended_template_rests_though_a_run_is_due() -> None:
    """What was edited meanwhile is due when it is resumed; until then nothing is to be made."""
    template = a_template(spec={"suspend": True})
    found = plan(a_view(template))
    ready = {each.type: each for each in plan(a_view(with_it(template, found))).statuses[key_of(template)].conditions}
    assert (ready["Ready"].status, ready["Ready"].reason) == ("True", "Suspended")
    assert found.create == ()
    resumed = a_template().evolve(status=found.statuses[key_of(template)])
    assert due(resumed) is not None


def with_it(template: TrainingRun, found: Any) -> TrainingRun:
    return template.evolve(status=found.statuses[key_of(template)])


def test_a_version_of_a_number_that_was_there_before_has_a_run_of_its_own() -> None:
    """The Dataset was made again: the run of the old version has the name, the new one is told by its digest."""
    before = over(READY).evolve(metadata=a_run(metadata={"name": "rain-d2", "uid": "u"}).metadata)
    found = due(seen(), before, version=2)
    assert found == ("rain-d2-222222", "DatasetVersion", "weather", "version 2")


@pytest.mark.parametrize(
    "dataset",
    [
        pytest.param(None, id="none"),
        pytest.param(a_versioned_dataset(2, metadata={"generation": 2}), id="just edited"),
        pytest.param(
            a_versioned_dataset(2, status={"conditions": [a_condition("Versioned", "False", "Outdated")]}),
            id="its version is of another spec",
        ),
        pytest.param(a_versioned_dataset(2, status={"version": None}), id="it names none"),
    ],
)
def test_no_version_is_due_that_a_run_could_not_take(dataset: Any) -> None:
    """A run of it would wait, and its name would be taken."""
    view = replace(a_view(seen()), dataset=dataset)
    assert due_event(view) is None
    assert plan(view).statuses[key_of(view.run)].dump()["lastDatasetVersion"] == 1


def test_a_template_that_does_not_fire_on_data_makes_no_run_of_it() -> None:
    """Nor does it note that a run has a version."""
    edits = {"spec": {"triggers": [{"templateChange": {}}]}}
    assert due(seen(**edits), over(READY), version=2) is None
    pinned = {"resolved": {**RESOLVED, "datasetVersion": 2}}
    made = a_run(metadata={"labels": {labels.TEMPLATE: "rain"}}, status=pinned)
    for changes, noted in ((edits, 1), ({}, 2)):
        template = seen(**changes)
        status = plan(a_view(template, made, version=2)).statuses[key_of(template)].dump()
        assert status["lastDatasetVersion"] == noted


RESOLVED = {
    "datasetVersion": 1,
    "datasetDigest": digest("1"),
    "datasetArtifact": digest("a"),
    "environmentDigest": digest("e"),
}


def test_runs_of_other_templates_have_no_part_in_it() -> None:
    """One of them may be on the version, or about to take it."""
    for resolved in ({"resolved": {**RESOLVED, "datasetVersion": 2}}, {}):
        other = a_run(metadata={"name": "o", "labels": {labels.TEMPLATE: "sun"}}, status=resolved)
        assert due(seen(), other, version=2) == ("rain-d2", "DatasetVersion", "weather", "version 2")
    mine = a_run(metadata={"labels": {labels.TEMPLATE: "rain"}}, status={"resolved": RESOLVED})
    assert due(seen(), mine, version=2) == ("rain-d2", "DatasetVersion", "weather", "version 2"), "of another version"


def test_a_name_of_a_run_has_52_characters_at_most() -> None:
    """Whatever calls for it: names of Jobs and labels are derived from it."""
    long = {"metadata": {"name": "r" * 52}}
    edited = {"status": {"lastRecipeDigest": "sha256:" + "0" * 64}}
    retried = seen(**merged(long, RETRY))
    again = seen(**merged(long, edited))
    before = a_run(metadata={"name": change_name(again), "uid": "u"}, status={"conditions": FAILED})
    taken = a_run(metadata={"name": version_name(again, 2), "uid": "u"}, status={"conditions": [READY]})
    for template, runs, version in ((retried, (), 1), (again, (before,), 1), (seen(**long), (taken,), 2)):
        event = due_event(a_view(template, *runs, version=version))
        assert event is not None
        assert len(event.name) == 52
        assert event.name not in {run.metadata.name for run in runs}


def test_the_text_of_a_retry_is_cut_where_a_record_ends() -> None:
    """Anybody may write a long one."""
    found = due(seen(metadata={"annotations": {labels.RETRY: "x" * 400}}), over(READY))
    assert found is not None
    assert found[3] == ("mlops.dev/retry: " + "x" * 400)[:256]


def test_a_template_from_before_there_was_a_recipe_is_edited_when_its_digest_differs() -> None:
    """Any edit calls for a run then."""
    template = a_template()
    known = {"lastRun": "rain-1", "lastDatasetVersion": 1}
    same = a_template(status={**known, "lastTemplateDigest": template_digest(template)})
    assert due(same, over(READY)) is None
    other = a_template(status={**known, "lastTemplateDigest": "sha256:" + "0" * 64})
    assert due(other, over(READY)) == (change_name(template), "TemplateChange", "rain", "created")


@pytest.mark.parametrize("reason", ["NotServing", "NameTaken", "ChildRefused"])
def test_what_is_no_failure_of_the_run_calls_for_none(reason: str) -> None:
    """What it made does not serve, or something keeps a child from being made: another run would change nothing."""
    conditions = [a_condition("Ready", "False", reason), a_condition("Stalled", "True", reason)]
    beside = {"lastTemplateDigest": "sha256:" + "0" * 64}
    assert due(seen(status={**beside, "conditions": conditions}), over(READY)) is None
    assert due(seen(status={"conditions": conditions})) is None
    assert due(seen(status={"conditions": FAILED})) is not None


def test_a_run_of_the_same_spec_that_has_no_model_is_made_again() -> None:
    """Whatever serves: it has made nothing of that."""
    edited = seen(status={"lastRecipeDigest": "sha256:" + "0" * 64}, metadata={"generation": 3})
    before = a_run(metadata={"name": change_name(edited), "uid": "u"}, status={"conditions": [READY]})
    event = due_event(replace(a_view(edited, before), versions=()))
    assert event is not None
    assert event.name == f"{change_name(edited)}-g3"


def test_an_event_on_record_is_made_unless_the_template_rests() -> None:
    """It says so meanwhile, and keeps it."""
    edit = {"kind": "TemplateChange", "ref": "rain", "reason": "created"}
    known = {"conditions": PENDING, "lastTrigger": edit}
    found = plan(a_view(seen(status=known)))
    assert [each["metadata"]["name"] for each in found.create] == ["rain-1"]
    rests = seen(status=known, spec={"suspend": True})
    found = plan(a_view(rests))
    assert found.create == ()
    status = found.statuses[key_of(rests)]
    assert (status.last_run, status.last_trigger and status.last_trigger.kind) == ("rain-1", "TemplateChange")
    assert status.conditions[0].message == "TrainingRun rain-1 is to be made when spec.suspend is false"


def test_an_event_of_an_earlier_release_is_that_of_the_version_on_record() -> None:
    """Of any other name nobody knows what it was."""
    lost = seen(status={"conditions": PENDING, "lastRun": "rain-d1", "lastDatasetVersion": 2})
    assert pending(lost) is None
    nothing = {name: value for name, value in seen().status.dump().items() if name != "lastRun"}
    assert pending(a_template(status={**nothing, "conditions": PENDING})) is None


def test_what_a_retry_makes_takes_the_version_that_is_there() -> None:
    """Which fires nothing then; a suspended template notes nothing at all."""
    for changes, noted, retried in ((RETRY, 2, "now"), (merged(RETRY, {"spec": {"suspend": True}}), 1, None)):
        template = seen(**changes)
        status = plan(a_view(template, over(READY), version=2)).statuses[key_of(template)]
        assert (status.last_dataset_version, status.retried) == (noted, retried)
