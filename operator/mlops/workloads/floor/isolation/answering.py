"""In the child: answers questions in frames, by a fixed table of what may be asked."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, Final, TypeAlias

from mlops.workloads.floor.failures import BadInput
from mlops.workloads.floor.isolation import limits
from mlops.workloads.floor.isolation.frames import read_frame, write_frame
from mlops.workloads.floor.isolation.parent import Arrays

MAX_QUESTION_BYTES: Final = 64 << 30
Answer: TypeAlias = "tuple[dict[str, Any], Arrays]"
Work: TypeAlias = "Callable[[dict[str, Any], Arrays], Answer]"
_OUT_OF_MEMORY: Final = re.compile(r"\bbad[_ ]alloc\b|allocate memory|memory allocation", re.IGNORECASE)


def answer_questions(table: Mapping[str, Work]) -> int:
    """Restrict this process, and answer until the parent says no more. What is not in the table cannot be asked."""
    limits.restrict()
    ours = os.fdopen(os.dup(1), "wb")
    # What a library prints must not stand between the frames.
    os.dup2(2, 1)
    return _answer_all(table, sys.stdin.buffer, ours)


def _answer_all(table: Mapping[str, Work], asked: BinaryIO, answers: BinaryIO) -> int:
    while (frame := read_frame(asked, MAX_QUESTION_BYTES)) is not None:
        question, arrays = frame
        # The parent keeps the time; this is for a child whose parent is gone. Threads count each for itself.
        limits.allow(4 * question["seconds"], question["memory"])
        document, made = _done(table[question["work"]], question["document"], arrays)
        write_frame(answers, document, made)
    return 0


def _done(work: Work, document: dict[str, Any], arrays: Arrays) -> Answer:
    try:
        return work(document, arrays)
    except BadInput as error:
        if is_memory(error):
            return {"fault": "memory"}, {}
        return {"fault": error.reason, "message": error.message}, {}
    except MemoryError:
        return {"fault": "memory"}, {}
    # Libraries of native code raise what is no Exception either (a panic). Here nothing is lost by calling it a reason.
    except BaseException as error:  # noqa: BLE001
        if is_memory(error):
            return {"fault": "memory"}, {}
        problem = f"it cannot be used: {type(error).__name__}: {str(error)[:300]}"
        return {"fault": "none", "message": problem}, {}


def is_memory(error: BaseException) -> bool:
    """Whether a library could not get memory: each says so in its own words, some in an error of another kind.

    Of an error of ours the cause is asked: its text may name a column of any name.
    """
    if isinstance(error, BadInput):
        before = error.__cause__ or error.__context__
        return before is not None and is_memory(before)
    return isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)) is not None
