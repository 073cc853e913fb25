"""What of kopf is switched off, so that it stays off."""

from __future__ import annotations

import itertools

import kopf

from mlops.cluster import quiet_kopf


def test_no_object_is_copied_or_compared() -> None:
    """There are no handlers of changes: neither what an object was nor how far its handlers are is of any use."""
    persistence = quiet_kopf.settings().persistence
    body = kopf.Body({"metadata": {"name": "a", "annotations": {"kopf.zalando.org/last-handled-configuration": "{}"}}})
    essence = persistence.diffbase_storage.build(body=body)
    assert (essence, persistence.diffbase_storage.fetch(body=body)) == ({}, None)
    assert persistence.progress_storage.clear(essence=essence) is essence


def test_nothing_is_written_into_an_object() -> None:
    """Neither storage leaves anything in a patch."""
    persistence, patch, body = quiet_kopf.settings().persistence, kopf.Patch(), kopf.Body({})
    persistence.diffbase_storage.store(body=body, patch=patch, essence=kopf.BodyEssence())
    persistence.progress_storage.touch(body=body, patch=patch, value="now")
    assert not patch


def test_a_watch_never_runs_out_of_attempts() -> None:
    """A watch that gave up would be gone until all of them begin again."""
    backoffs = quiet_kopf.settings().networking.error_backoffs
    assert all(0 < seconds <= 10 for seconds in itertools.islice(iter(backoffs), 1000))
