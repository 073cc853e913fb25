"""The page's style sheet, and what the page says beside the findings."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any, get_args

from mlops.api import tasks
from mlops.api.drift_monitor import MAKES_A_RUN, Action, ActionName, Guard
from mlops.workloads.drift.page import ADVICE, page
from mlops.workloads.drift.page_style import STYLE
from mlops.workloads.drift.policy import in_words
from mlops.workloads.drift.timeline import timeline
from tests.workloads.drift.conftest import World


def test_words_of_tables_are_not_broken() -> None:
    """`anywhere` counts as a place to break when a column's width is found: `PredictionDrift` stood in five lines.

    Only headings and values of lists, which hold names and digests from data, may be broken; no table is in them.
    """
    broken = [rule for rule in STYLE.split("}") if "overflow-wrap" in rule or "word-break" in rule]
    assert [rule.strip().partition("{")[0].split(".t{")[-1] for rule in broken] == ["h1,dd,figcaption"]


class _Tables(HTMLParser):
    """The elements around each table."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.around: list[str | None] = []
        self.cells: list[str | None] = []
        self._last: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.around.append(self._last)
        if tag == "div":
            self._last = dict(attrs).get("class")


def test_a_phone_scrolls_or_stacks_every_table_and_breaks_no_timestamp(changed: World) -> None:
    """At 420 px a table that is wider scrolls in its own frame; that of the checks becomes a list."""
    changed.write_all()
    text = changed.page(changed.check())
    assert _Tables(text).around == ["wide", "wide"]
    assert '<table class="cards"><tr><th>check</th>' in text
    assert "@media (max-width:520px)" in STYLE
    assert ".cards td{display:block}" in STYLE
    body = text.partition('<script type="application/json"')[0]
    window = changed.document(changed.check())["window"]
    assert f'<span class="t">{window["end"]}</span>' in body
    assert ".t{white-space:nowrap}" in STYLE


def test_what_the_monitor_does_is_read_of_its_spec() -> None:
    """Not what a monitor does by default: this one retrains nothing, and holds only what drifts."""
    policy = tasks.MonitorPolicy(
        actions=(Action(when=("DataDrift",), do="Hold"), Action(when=("ConceptDrift",), do="Rebuild")),
        guard=Guard(cooldown="48h", max_runs_per_week=2, confirmations=3),
        template="weather",
    ).dump()
    assert in_words(policy, "DataDrift") == "Hold: nothing is trained."
    assert in_words(policy, "PredictionDrift") == "Hold: nothing is trained."
    assert in_words(policy, "LabelShift") == "Nothing: no action of the monitor names this verdict."
    said = in_words(policy, "ConceptDrift")
    assert said.startswith("Rebuild, a run of the template weather: ")
    assert "48h after the one before, at most 2 in a week; after 3 such verdicts in a row" in said


def test_the_page_says_the_policy_of_the_task_and_what_was_not_checked(stable: World) -> None:
    """The pod is told the policy; personal data are named, not shown."""
    stable.model = {"inputs": [*_inputs(stable), {"name": "name", "type": "string", "pii": True}]}
    stable.__post_init__()
    stable.write_all()
    found = stable.document(stable.check("DataDrift"))
    assert found["notCompared"] == {"name": "personal data (governance.pii)"}
    found["policy"] = tasks.MonitorPolicy(actions=(), guard=Guard()).dump()
    text = page(found, done="nothing was called for")
    assert "<li>name: personal data (governance.pii)</li>" in text
    assert "Nothing: no action of the monitor names this verdict." in text
    assert "<dd>nothing was called for</dd>" in text


def test_without_a_check_of_the_inputs_none_is_said_to_be_compared(stable: World) -> None:
    """Nor in a report of a release that did not record what it left out."""
    stable.write_all()
    found = stable.document(stable.check("LabelShift"))
    assert "No input was compared: no check of type DataDrift was made." in page(found)
    assert "All inputs were compared" not in page(found)
    found = stable.document(stable.check("DataDrift"))
    assert "All inputs were compared" in page(found)
    del found["notCompared"]
    assert "All inputs were compared" not in page(found)


def _inputs(world: World) -> list[dict[str, Any]]:
    from bench.drift_streams import signature_of

    return [one.dump() for one in signature_of(world.stream.reference.frame).inputs]


def test_the_timeline_shows_every_check_and_joins_equal_ones() -> None:
    """A mark for each check in the colour of its verdict, a line for each spell, the newest first; all escaped."""
    days = [f"2026-11-{day:02}T00:00:00Z" for day in range(1, 7)]
    verdicts = ["Stable", "Stable", "DataDrift", "DataDrift", "Stable", "Inconclusive"]
    checks = [
        {"time": day, "verdict": verdict, "metric": f"0.{80 + at}", "action": "<b>"}
        for at, (day, verdict) in enumerate(zip(days, verdicts, strict=True))
    ]
    text = timeline(checks, {verdict: advice.tone for verdict, advice in ADVICE.items()})
    assert text.count("<title>") == 6
    assert text.count('class="good-mark"') == 3
    assert text.count("<tr>") == 1 + 4
    assert text.index("Inconclusive</td>") < text.index("DataDrift</td>")
    assert "0.820 to 0.830" in text
    assert "<b>" not in text
    assert timeline([], {}) == ""


def test_a_report_of_an_earlier_release_is_still_a_page(stable: World) -> None:
    """One from before estimates, delivered labels and other references were."""
    stable.write_all()
    found = stable.document(stable.check("PerformanceDrop"))
    for new in ("estimatedPerformance", "labelSources"):
        del found[new]
    for new in ("source", "digest"):
        del found["reference"][new]
    for each in found["checks"]:
        del each["segment"]
    text = page(found)
    assert "Estimated performance" not in text
    assert "<dd>training data</dd>" in text


def test_every_action_is_said_in_words() -> None:
    """What one does is not left to its name."""
    for do in get_args(ActionName):
        when = ("ConceptDrift",)
        policy = tasks.MonitorPolicy(actions=(Action(when=when, do=do),), guard=Guard()).dump()
        said = in_words(policy, "ConceptDrift", {"alone": True, "obstacle": None})
        assert said.startswith(do)
        assert len(said) > len(do) + 20
        assert ("The guard lets a run through" in said) == (do in MAKES_A_RUN)


def test_the_page_says_which_way_a_relation_moved(stable: World) -> None:
    """With the numbers it rests on, and why the live model takes no map; reports of earlier releases say nothing."""
    found = stable.document(stable.check("DataDrift"))
    assert "Which way the relation moved" not in page(found)
    del found["calibration"]
    assert "Which way the relation moved" not in page(found)
    found["calibration"] = {
        "alone": True,
        "metric": "brier",
        "reference": 0.1,
        "current": 0.2,
        "restored": 0.11,
        "rankingReference": 0.81,
        "rankingCurrent": 0.8,
        "rows": 400,
        "since": "2026-01-09T18:00:00Z",
        "obstacle": "it answers with labels <alone>",
    }
    text = page(found)
    assert "Calibration alone moved: ranking (ROC area) 0.8, 0.81 on the reference; brier 0.2 as served, 0.11" in text
    assert "The live model takes no map: it answers with labels &lt;alone&gt;." in text
