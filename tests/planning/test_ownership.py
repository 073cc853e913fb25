"""Who owns what."""

from __future__ import annotations

from mlops.planning.ownership import is_leaving, key_and_uid, owned_by_all, owner_of
from mlops.planning.plan import Key
from tests.planning.builders import a_dataset, a_version


def test_a_child_is_addressed_by_what_its_manifest_says() -> None:
    """The uid keeps a deletion from a namesake that came meanwhile; a manifest that was not applied yet has none."""
    job = {"kind": "Job", "metadata": {"name": "sync", "namespace": "team", "uid": "u1"}}
    assert key_and_uid(job) == (Key("Job", "team", "sync"), "u1")
    assert key_and_uid({"kind": "Job", "metadata": {"name": "sync"}}) == (Key("Job", "default", "sync"), "")


def test_one_owner_controls_and_many_do_not() -> None:
    """What many own goes with the last of them; the order of owners is that of their names."""
    dataset = a_dataset()
    reference = {"apiVersion": "mlops.dev/v1alpha1", "kind": "Dataset", "name": "weather", "uid": "uid-weather"}
    assert owner_of(dataset) == [{**reference, "controller": True, "blockOwnerDeletion": True}]
    owners = owned_by_all([a_version(2), a_version(1)])
    assert [owner["name"] for owner in owners] == ["rain-v1", "rain-v2"]
    assert all(set(owner) == {"apiVersion", "kind", "name", "uid"} for owner in owners)


def test_an_object_leaves_from_when_its_deletion_was_asked_for() -> None:
    """Finalizers may keep it for long."""
    assert not is_leaving(a_dataset())
    assert is_leaving(a_dataset(metadata={"deletionTimestamp": "2026-01-10T12:00:00Z"}))
