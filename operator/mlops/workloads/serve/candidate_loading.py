"""Loading a candidate beside a version that serves: in the background, again while something outside is not there."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

from mlops.api.reasons import Reason
from mlops.store.errors import DigestMismatch, ManifestInvalid, PathForbidden, StoreError
from mlops.workloads.floor.log import fail, warn
from mlops.workloads.floor.model.lone_rows import LoneRows, lone_rows
from mlops.workloads.floor.model.opening import Loaded, load
from mlops.workloads.floor.pod import BadInput, PassingFault, Pod
from mlops.workloads.serve.candidate import ServedCandidate
from mlops.workloads.serve.candidate_thread import be_nicer
from mlops.workloads.serve.errors import is_fault

Found = TypeVar("Found")
_MEASURED_SECONDS: Final = 2.0
_LEAST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
# Whoever waits for an answer comes first.
_NICER: Final = 10
# What says something of the bytes. Anything else of a store says where they could not be had.
_OF_THE_BYTES: Final = (DigestMismatch, ManifestInvalid, PathForbidden)


async def load_candidate(
    pod: Pod, candidate: ServedCandidate, settled: Callable[[], None], loaded: Callable[[], None]
) -> None:
    """Have the candidate answer once it is loaded and checked as every served model is, or have it refused.

    What is passing is tried again, after a second at first and then after twice as long each time, at most a minute.
    `settled` is called after its answers beyond a turn of the loop, `loaded` when it is there.
    """
    pause = _LEAST_PAUSE
    while True:
        try:
            found, lone = await _in_a_thread(lambda: _loaded(pod, candidate.given.artifact))
            candidate.take(found, lone, settled)
            loaded()
            return
        except BadInput as error:
            candidate.refuse(error.reason, error.message)
            return
        except _OF_THE_BYTES as error:
            candidate.refuse(error.reason, str(error))
            return
        except (StoreError, PassingFault, OSError) as error:
            what = str(error) if isinstance(error, StoreError | PassingFault) else f"{type(error).__name__}"
            warn(f"candidate version {candidate.given.version} is not loaded yet, tried again in {pause:g} s: {what}")
        except BaseException as error:
            if not is_fault(error):
                raise
            fail(f"candidate version {candidate.given.version}: the program did not foresee this", error)
            candidate.refuse(Reason.INTERNAL_ERROR, f"{type(error).__name__}: the program did not foresee this")
            return
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _loaded(pod: Pod, artifact: str) -> tuple[Loaded, LoneRows | None]:
    be_nicer(_NICER)
    folder = pod.scratch / "candidate"
    shutil.rmtree(folder, ignore_errors=True)
    found = load(pod.store, artifact, folder)
    return found, lone_rows(found.predictor, found.golden.inputs, time.monotonic() + _MEASURED_SECONDS)


async def _in_a_thread(work: Callable[[], Found]) -> Found:
    """Return what the work gives. Its thread keeps no process from its end, as those of a pool would."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Found] = loop.create_future()

    def settle(result: Found | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, problem = None, None
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001
            problem = error
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, problem)

    threading.Thread(target=run, name="load", daemon=True).start()
    return await done
