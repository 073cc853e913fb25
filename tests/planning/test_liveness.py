"""Which version is live, which one is the champion, and which one is about to serve."""

from __future__ import annotations

from typing import Any

from mlops.api.model_version import ModelVersion
from mlops.planning.liveness import artifact_of, champion, live_in, newest_wanted
from tests.planning.builders import a_condition, a_live_version, a_version, digest

STAGES = {"promotion": {"stages": [{"name": "dev"}, {"name": "test"}, {"name": "production"}]}}


def in_stages(number: int, *stages: str, **spec: Any) -> ModelVersion:
    return a_live_version(number, spec={**STAGES, **spec}, status={"stages": list(stages)})


def test_the_newest_that_is_live_in_a_stage_counts_there() -> None:
    """One that is withdrawn does not, and one of another stage neither."""
    versions = [in_stages(3, "dev"), in_stages(2, "production"), in_stages(1, "production")]
    assert live_in(versions, "production") == versions[1]
    assert live_in([in_stages(4, "production", withdrawn=True), *versions], "production") == versions[1]
    assert live_in(versions, "test") is None


def test_the_champion_is_the_one_furthest_on_the_way_to_production() -> None:
    """Newer ones that are less far come after it; of equally far ones the newest counts."""
    dev, test, live = in_stages(9, "dev"), in_stages(8, "dev", "test"), in_stages(7, "production")
    assert champion([dev, test, live]) == live
    assert champion([dev, test]) == test
    assert champion([dev, in_stages(10, "dev")]) == in_stages(10, "dev")
    assert champion([in_stages(7, "production", withdrawn=True), dev]) == dev
    assert champion([a_version(1), a_live_version(2, status={"artifact": None})]) is None
    gone, two = in_stages(30, "gone"), {"promotion": {"stages": [{"name": "dev"}, {"name": "production"}]}}
    assert champion([gone, dev]) == dev, "a stage that an edit took out is none of its way"
    assert champion([gone, in_stages(1, "dev")]) == in_stages(1, "dev"), "however new it is"
    before = a_live_version(30, spec={"promotion": {"stages": [{"name": "production"}]}}, status={"stages": ["gone"]})
    first = a_live_version(1, spec=two, status={"stages": ["dev"]})
    assert champion([before, first]) == before, "it is as far from production as the first of two stages"
    short = a_live_version(1, spec={"promotion": {"stages": [{"name": "production"}]}})
    assert champion([short, test]) == short, "all of its one stage are more than two of three"


def test_the_version_that_is_wanted_is_the_newest_that_is_neither_withdrawn_nor_failed() -> None:
    """It need not serve yet."""
    failed = a_version(4, status={"conditions": [a_condition("Stalled", "True", "GatesFailed")]})
    versions = [a_live_version(1), a_version(2), a_version(3, spec={"withdrawn": True}), failed]
    assert newest_wanted(versions) == versions[1]
    assert newest_wanted(versions[2:]) is None


def test_the_artifact_is_the_pinned_one_or_else_the_one_that_is_named() -> None:
    """None of neither."""
    assert artifact_of(a_version(1, status={"artifact": digest("9")})) == digest("9")
    assert artifact_of(a_version(1)) == digest("1")
    source = {"artifact": None, "source": {"trainingRunRef": {"name": "rain-1"}}}
    assert artifact_of(a_version(1, spec=source)) is None
    assert artifact_of(None) is None
