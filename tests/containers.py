"""What a container of a manifest is told, as a kubelet would hand it over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mlops.api import tasks


def task_of(container: Mapping[str, Any]) -> tasks.Task | None:
    """Return the task of one of our own containers, None of a user's."""
    environ = {each["name"]: expanded(each.get("value") or "") for each in container.get("env") or ()}
    text = tasks.task_text(environ)
    return tasks.parse_task(text) if text else None


def expanded(value: str) -> str:
    """Return the value of a variable in which a kubelet finds no reference."""
    assert not re.search(r"(?<!\$)(\$\$)*\$\(", value), value
    return value.replace("$$", "$")
