"""The catalogue itself: whole, without doubles, as many as promised, and the page made of it is up to date."""

from __future__ import annotations

import re

import pytest

from hack.bad_inputs import PAGE, page
from hack.generate import ROOT
from tests.bad_input.catalogue import FIELDS, PLACES, cases

_ALL = [(place, case) for place in PLACES for case in cases(place)]
_AT_LEAST = 250


@pytest.mark.parametrize("place", [*PLACES, "elsewhere"])
def test_every_case_says_what_was_done_what_is_said_and_the_way_out(place: str) -> None:
    """And each has a name of its own."""
    found = cases(place)
    assert found
    assert [case.get("id") for case in found if not all(case.get(field) for field in FIELDS)] == []
    ids = [case["id"] for case in found]
    assert sorted(set(ids)) == sorted(ids)


def test_there_are_enough() -> None:
    """Each is walked by the test of its file."""
    assert len(_ALL) >= _AT_LEAST


@pytest.mark.parametrize("case", cases("elsewhere"), ids=lambda case: case["id"])
def test_what_is_shown_elsewhere_is_there(case: dict[str, str]) -> None:
    """The named test exists."""
    path, _, name = case["shownBy"].partition("::")
    assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE), case["shownBy"]


def test_the_page_is_up_to_date() -> None:
    """Else: `python hack/bad_inputs.py`."""
    assert PAGE.read_text("utf-8") == page(), "run python hack/bad_inputs.py"
