"""What stands in a condition, whoever said it."""

from __future__ import annotations

import pytest

from mlops.planning.readiness import condition


@pytest.mark.parametrize(
    ("said", "stands"),
    [
        pytest.param("3 of 5 rows break x: café 日本", "3 of 5 rows break x: café 日本", id="ordinary text"),
        pytest.param("two\nlines", "two\nlines", id="lines"),
        pytest.param("\x1b[2Jgone\x07", r"\x1b[2Jgone\x07", id="escapes"),
        pytest.param("\x9b6n\r\u202eback", r"\x9b6n\r\u202eback", id="one-byte escapes, and turned text"),
        pytest.param("\x00" * 2048, r"\x00" * 512, id="cut after it was spelled out"),
    ],
)
def test_no_message_steers_a_terminal(said: str, stands: str) -> None:
    """A pod of a user's image writes what it likes as its last word; `kubectl describe` prints it."""
    message = condition("Ready", "False", "Rejected", said).message
    assert message == stands
    assert condition("Ready", "False", "Rejected", message).message == message
