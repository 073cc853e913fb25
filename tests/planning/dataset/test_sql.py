"""A database as the source: its Secret goes to the pod that reads it, and the last version with it where it adds."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from mlops.api.dataset import Dataset
from mlops.planning.dataset.manifests import content_digest, sync_digest
from mlops.planning.dataset.planner import plan
from mlops.planning.plan import Manifest, Plan
from tests.planning.builders import a_dataset, an_ingest_report, digest, finished
from tests.planning.dataset.test_dataset import a_view, after, ready, the_job

SQL: dict[str, Any] = {
    "engine": "postgresql",
    "secretRef": {"name": "warehouse"},
    "query": "SELECT time, wind, rain FROM weather",
}
ADDED = {**SQL, "incremental": {"column": "time"}}
REFRESH = {"refresh": {"schedule": "0 * * * *"}}


def of_sql(sql: dict[str, Any], **spec: Any) -> Dataset:
    return a_dataset(spec={"source": {"s3": None, "sql": sql}, **spec})


def task_of(pod: Manifest) -> dict[str, Any]:
    [container] = pod["spec"]["containers"]
    found: dict[str, Any] = json.loads(next(one["value"] for one in container["env"] if one["name"] == "MLOPS_TASK"))
    return found


def test_the_job_names_the_secret_and_holds_nothing_of_it(golden: Callable[[str, Plan], None]) -> None:
    golden("dataset-sql", plan(a_view(of_sql(SQL))))


def test_another_secret_is_no_other_content() -> None:
    other = of_sql({**SQL, "secretRef": {"name": "replica"}})
    assert content_digest(other) == content_digest(of_sql(SQL))
    assert sync_digest(other) != sync_digest(of_sql(SQL))


def test_another_query_is_another_content() -> None:
    assert content_digest(of_sql({**SQL, "query": "SELECT 1"})) != content_digest(of_sql(SQL))


@pytest.mark.parametrize(
    ("sql", "previous"),
    [pytest.param(SQL, None, id="all rows"), pytest.param(ADDED, digest("a"), id="incremental")],
)
def test_a_source_that_is_read_incrementally_is_told_its_last_version(
    sql: dict[str, Any], previous: str | None
) -> None:
    view = a_view(of_sql(sql, **REFRESH))
    job = the_job(view)
    assert "previous" not in task_of(job["spec"]["template"])
    report = an_ingest_report(artifact=digest("a"), watermark="2026-01-01T00:00:00.000000Z")
    view = after(view, finished(job, report))
    [cron_job] = plan(view).apply
    assert task_of(cron_job["spec"]["jobTemplate"]["spec"]["template"]).get("previous") == previous
    assert view.dataset.status.watermark == "2026-01-01T00:00:00.000000Z"


def test_a_query_that_is_no_select_makes_no_pod() -> None:
    view = after(a_view(of_sql({**SQL, "query": "-- all of it\n DELETE FROM weather"})))
    assert plan(view).create == ()
    state, reason = ready(view)
    assert (state, reason) == ("False", "QueryInvalid")


@pytest.mark.parametrize(
    "query",
    [
        "select 1",
        "/* a */ WITH x AS (SELECT 1) SELECT * FROM x",
        "(SELECT 1) UNION (SELECT 2)",
        "# b\nTABLE t",
        "VALUES (1)",
    ],
)
def test_what_reads_is_let_through(query: str) -> None:
    assert plan(a_view(of_sql({**SQL, "query": query}))).create


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"suspend": True}, id="it rests"),
        pytest.param(REFRESH, id="when it is looked at"),
        pytest.param({"retention": {"keepVersions": 3}}, id="how long it stays"),
        pytest.param({"freshness": {"maxAge": "1d", "measure": "EventTime"}}, id="how new it is to be"),
        *(pytest.param({"governance": {word: "x"}}, id=word) for word in ("owner", "purpose", "license")),
    ],
)
def test_what_is_said_about_the_data_is_no_other_content(spec: dict[str, Any]) -> None:
    """Nothing is read again for it."""
    assert content_digest(of_sql(SQL, **spec)) == content_digest(of_sql(SQL))
    assert sync_digest(of_sql(SQL, **spec)) == sync_digest(of_sql(SQL))


def test_who_may_see_a_field_is_another_content() -> None:
    """It is a part of a version."""
    assert content_digest(of_sql(SQL, governance={"pii": ["wind"]})) != content_digest(of_sql(SQL))
