"""The search for tracebacks finds those of our processes, and leaves a user's own code alone."""

from __future__ import annotations

import pytest

from tests.tracebacks import tracebacks

_TEXT = """{prefix}before
{prefix}Traceback (most recent call last):
{prefix}  File "{file}", line 7, in work
{prefix}    raise ValueError("no")
{prefix}ValueError: no
{prefix}after
"""


@pytest.mark.parametrize("prefix", ["", "    "])
@pytest.mark.parametrize(
    ("file", "found"),
    [
        pytest.param("/opt/lib/mlops/cluster/main.py", True, id="ours"),
        pytest.param("/opt/lib/kopf/_core/reactor/running.py", True, id="kopf"),
        pytest.param("/usr/lib/python3.11/asyncio/tasks.py", True, id="event loop"),
        pytest.param("/home/ann/train.py", False, id="a user's own trainer"),
    ],
)
def test_a_traceback_of_ours_is_found(prefix: str, file: str, found: bool) -> None:
    texts = list(tracebacks(_TEXT.format(prefix=prefix, file=file)))
    assert bool(texts) is found
    assert all(text.endswith("ValueError: no") for text in texts)
