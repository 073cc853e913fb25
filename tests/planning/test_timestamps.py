"""Timestamps that users write, in the whole seconds that the operator keeps."""

from __future__ import annotations

import pytest

from mlops.api.base import format_time
from mlops.planning.timestamps import not_before, time_of, timestamp
from tests.planning.builders import a_run


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        pytest.param("2026-01-10T12:00:00Z", "2026-01-10T12:00:00Z", id="a whole second"),
        pytest.param("2026-01-10T12:00:00.000001Z", "2026-01-10T12:00:01Z", id="just after it"),
        pytest.param("2026-01-10T12:00:59.5Z", "2026-01-10T12:01:00Z", id="into the next minute"),
        pytest.param("9999-12-31T23:59:58.5Z", "9999-12-31T23:59:59Z", id="up to the last second"),
        pytest.param("9999-12-31T23:59:59.5Z", "9999-12-31T23:59:59Z", id="after which there is none"),
    ],
)
def test_a_fraction_counts_as_the_next_second(text: str, kept: str) -> None:
    """Else a sync from before the timestamp would count as one after it."""
    found = timestamp(text)
    assert found is not None
    assert format_time(found) == kept
    assert not_before(a_run(spec={"datasetRef": {"notBefore": text}})) == found


@pytest.mark.parametrize("text", [None, ""])
def test_no_text_is_no_time(text: str | None) -> None:
    """A field that was never set."""
    assert timestamp(text) is None
    assert time_of(text) is None
