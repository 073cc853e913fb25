"""The four ways of writing an object: create, replace, merge-patch, server-side apply."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from mlops.planning.plan import Key
from tests.simulation.api_server import deletion, errors, ownership
from tests.simulation.api_server.errors import ApiError
from tests.simulation.api_server.ownership import Owners, Writing
from tests.simulation.api_server.paths import Target
from tests.simulation.api_server.resources import Resource, with_metadata
from tests.simulation.api_server.store import Store
from tests.simulation.api_server.typed import same

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """A write: to what, how, with what, by whom."""

    target: Target
    query: Mapping[str, str]
    body: Any
    user: str

    @property
    def resource(self) -> Resource:
        """The kind that is written."""
        return self.target.resource

    @property
    def manager(self) -> str:
        """Who owns what is set."""
        return self.query.get("fieldManager") or self.user


class Writes:
    """Writes to a store. `time` gives the present second as text, `new_uid` a uid, `check_namespace` refuses to create
    in a namespace that is not there."""

    def __init__(
        self,
        store: Store,
        time: Callable[[], str],
        new_uid: Callable[[], str],
        check_namespace: Callable[[str], None],
        random: Random,
    ) -> None:
        self._store, self._time, self._new_uid, self._random = store, time, new_uid, random
        self._check_namespace = check_namespace

    def create(self, request: Request) -> Manifest:
        """POST: make the object."""
        resource = request.resource
        body = _typed_body(request)
        manifest = resource.read(_placed(body, request.target), None)
        if manifest["metadata"].get("resourceVersion"):
            raise ApiError(500, "resourceVersion should not be set on objects to be created", reason="")
        # A POST cannot make an object that is being deleted.
        manifest = with_metadata(manifest, deletionTimestamp=None, deletionGracePeriodSeconds=None)
        owners = ownership.updated(self._writing(request), resource.empty(), manifest, {})
        return self._created(request, manifest, owners)

    def replace(self, request: Request) -> tuple[int, Manifest]:
        """PUT: replace the object, or its status."""
        body = _typed_body(request)
        _check_name(body, request.target)
        present = self._store.get(request.target.key)
        manifest = request.resource.read(_placed(body, request.target), present)
        if present is None:
            return self._replaced_nothing(request, manifest)
        sent, there = manifest["metadata"].get("uid"), present["metadata"]["uid"]
        if sent and sent != there:
            why = f"Precondition failed: UID in precondition: {sent}, UID in object meta: {there}"
            raise errors.conflict(request.resource.group, request.resource.plural, request.target.key.name, why)
        owners = self._owners_after(request, body, manifest, present)
        return 200, self._updated(request, manifest, present, owners)

    def merge(self, request: Request) -> Manifest:
        """Merge-patch the object, or its status."""
        present = self._present(request)
        if not isinstance(request.body, dict):
            raise ApiError(
                400, "error decoding patch: json: cannot unmarshal into Go value of type map[string]interface {}"
            )
        body = _merged(present, request.body)
        try:
            _check_kind(body, request.resource)
            manifest = request.resource.read(body, present)
        except ApiError as error:
            if error.code != 400:
                raise
            cause = errors.Cause("patch", f"Invalid value: {errors.shown(body)}: {error.message}")
            raise errors.invalid("", "", "", [cause]) from error
        _check_name(manifest, request.target)
        owners = self._owners_after(request, body, manifest, present)
        return self._updated(request, manifest, present, owners)

    def apply(self, request: Request) -> tuple[int, Manifest]:
        """Server-side apply, to the object or to its status."""
        self._check_apply(request)
        config = request.body
        writing, force = self._writing(request), request.query.get("force") == "true"
        present = self._store.get(request.target.key)
        if present is None and request.target.subresource:
            raise errors.not_found(request.resource.group, request.resource.plural, request.target.key.name)
        resource = request.resource
        if present is None:
            empty = resource.empty()
            live = {**empty, "apiVersion": resource.api_version, "kind": resource.kind}
            new, owners = ownership.applied(writing, live, config, empty, {}, force=force)
            manifest = self._converted(request, new or live, None)
            _check_name(manifest, request.target)
            if uid := manifest["metadata"].get("uid"):
                why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
                raise errors.conflict(resource.group, resource.plural, request.target.key.name, why)
            return 201, self._created(request, manifest, owners)
        owners = ownership.read(present)
        new, owners = ownership.applied(writing, present, config, resource.empty(), owners, force=force)
        manifest = present if new is None else self._converted(request, new, present)
        _check_name(manifest, request.target)
        counts = new is not None and not request.target.subresource and resource.counts_unread(new)
        if counts and new is not None and (causes := resource.check_unread(new)):
            raise errors.invalid(resource.invalid_group, resource.kind, request.target.key.name, causes)
        return 200, self._updated(request, manifest, present, owners, counts=counts)

    # --- from a new state to a stored one ---

    def _created(self, request: Request, manifest: Manifest, owners: Owners) -> Manifest:
        resource, target = request.resource, request.target
        namespace = target.namespace or ""
        self._check_namespace(namespace)
        name = manifest["metadata"].get("name") or self._generated(manifest)
        if not name:
            raise resource.nameless()
        manifest = _each_owner_once(ownership.written(manifest, owners))
        manifest = with_metadata(
            manifest,
            name=name or None,
            namespace=namespace,
            uid=self._new_uid(),
            creationTimestamp=self._time(),
            selfLink=None,
        )
        manifest = resource.prepare_create(manifest, self._random)
        if causes := resource.check(manifest, None):
            raise errors.invalid(resource.invalid_group, resource.kind, name, causes)
        key = Key(resource.kind, namespace, name)
        if self._store.get(key) is not None:
            raise errors.already_exists(resource.group, resource.plural, name)
        stored = resource.stored(manifest)
        return self._store.put(key, stored, request.user, raw=stored is not manifest)

    def _updated(
        self, request: Request, manifest: Manifest, present: Manifest, owners: Owners, *, counts: bool = False
    ) -> Manifest:
        """`counts`: it is a new generation whatever is left of it."""
        resource, target = request.resource, request.target
        self._check_version(resource, manifest, present)
        manifest = _kept(_each_owner_once(ownership.written(manifest, owners)), present)
        if target.subresource:
            manifest = resource.prepare_status(manifest, present)
            causes = resource.check_status(manifest, present)
        else:
            manifest = resource.prepare_update(manifest, present)
            if counts and manifest["metadata"]["generation"] == present["metadata"]["generation"]:
                manifest = with_metadata(manifest, generation=present["metadata"]["generation"] + 1)
            causes = resource.check(manifest, present)
        if causes:
            raise errors.invalid(resource.invalid_group, resource.kind, target.key.name, causes)
        manifest = resource.stored(manifest)
        if deletion.finished(manifest, present):
            self._store.remove(target.key, manifest, request.user)
            return manifest
        if _unchanged(manifest, present) and not self._store.raw(target.key):
            return present
        return self._store.put(target.key, manifest, request.user)

    def _replaced_nothing(self, request: Request, manifest: Manifest) -> tuple[int, Manifest]:
        resource, name = request.resource, request.target.key.name
        if not resource.creates_on_update or request.target.subresource:
            raise errors.not_found(resource.group, resource.plural, name)
        if uid := manifest["metadata"].get("uid"):
            why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: "
            raise errors.conflict(resource.group, resource.plural, name, why)
        owners = ownership.updated(self._writing(request), resource.empty(), manifest, {})
        return 201, self._created(request, with_metadata(manifest, resourceVersion=None), owners)

    def _check_version(self, resource: Resource, manifest: Manifest, present: Manifest) -> None:
        sent, there = manifest["metadata"], present["metadata"]
        name = there["name"]
        version = sent.get("resourceVersion", "")
        if not version and not resource.unconditional:
            cause = errors.Cause("metadata.resourceVersion", "Invalid value: 0: must be specified for an update")
            raise errors.invalid(resource.group, resource.plural, name, [cause])
        if version and version != there["resourceVersion"]:
            raise errors.has_changed(resource.group, resource.plural, name)

    # --- small things ---

    def _present(self, request: Request) -> Manifest:
        found = self._store.get(request.target.key)
        if found is None:
            raise errors.not_found(request.resource.group, request.resource.plural, request.target.key.name)
        return found

    def _writing(self, request: Request) -> Writing:
        resource, part = request.resource, request.target.subresource
        reset = resource.reset_status if part else resource.reset
        return Writing(resource.type, resource.api_version, request.manager, part, reset, self._time())

    def _converted(self, request: Request, new: Manifest, present: Manifest | None) -> Manifest:
        """The result of an apply as an object of its kind."""
        try:
            if not request.resource.unstructured:
                new = _nothing_for_empty_lists(new, present)
            return request.resource.read(new, present, applied=True)
        except ApiError as error:
            if request.resource.unstructured:
                raise
            raise ApiError(500, f"failed to convert new object to proper version: {error}", reason="") from error

    def _owners_after(self, request: Request, body: Manifest, manifest: Manifest, present: Manifest) -> Owners:
        """The owners after an update. A list that is sent replaces the present one; an empty one ends the record."""
        fields = body.get("metadata")
        sent = fields.get("managedFields") if isinstance(fields, dict) else None
        owners = ownership.read(present)
        if (sent if request.resource.unstructured else sent is not None) and not request.target.subresource:
            owners = ownership.read(manifest)
        return ownership.updated(self._writing(request), present, manifest, owners) if owners else {}

    def _generated(self, manifest: Manifest) -> str:
        prefix = manifest["metadata"].get("generateName", "")
        letters = "bcdfghjklmnpqrstvwxz2456789"
        return prefix[:58] + "".join(self._random.choice(letters) for _ in range(5)) if prefix else ""

    def _check_apply(self, request: Request) -> None:
        if not request.query.get("fieldManager"):
            cause = errors.Cause("fieldManager", "Required value: is required for apply patch", errors.REQUIRED)
            raise errors.invalid("meta.k8s.io", "PatchOptions", "", [cause])
        if not isinstance(request.body, dict):
            raise ApiError(400, "error decoding YAML: json: cannot unmarshal into an object")
        _check_kind(request.body, request.resource, needed=True)
        fields = request.body.get("metadata") or {}
        if isinstance(fields, dict) and fields.get("managedFields") is not None:
            raise ApiError(400, "metadata.managedFields must be nil")


def _typed_body(request: Request) -> Manifest:
    body = request.body
    if not isinstance(body, dict):
        raise ApiError(400, f"couldn't get version/kind; json parse error: {type(body).__name__} is no object")
    _check_kind(body, request.resource)
    fields = body.get("metadata")
    if isinstance(fields, dict) and fields.get("namespace") not in (None, "", request.target.namespace):
        text = "the namespace of the provided object does not match the namespace sent on the request"
        raise ApiError(400, text)
    return body


def _check_kind(body: Manifest, resource: Resource, *, needed: bool = False) -> None:
    kind, api_version = body.get("kind", ""), body.get("apiVersion", "")
    if needed and not (kind and api_version):
        raise ApiError(400, f"Object 'Kind' is missing in '{kind}'" if not kind else "invalid object type: /, Kind=")
    if needed and kind != resource.kind:
        raise ApiError(400, f"invalid object type: {api_version}, Kind={kind}")
    if resource.unstructured and kind and api_version == resource.api_version and kind != resource.kind:
        cause = errors.Cause("kind", f"Invalid value: {errors.shown(kind)}: must be {resource.kind}")
        name = (body.get("metadata") or {}).get("name", "")
        raise errors.invalid(resource.group, str(kind), name, [cause])
    wrong = (kind and kind != resource.kind) or (api_version and api_version != resource.api_version)
    if wrong:
        raise ApiError(
            400,
            f"{kind} in version {api_version!r} cannot be handled as a {resource.kind}: converting is not possible",
        )


def _check_name(body: Manifest, target: Target) -> None:
    fields = body.get("metadata")
    if not isinstance(fields, dict):
        return
    if not fields.get("name"):
        text = f"the name of the object ({target.name} based on URL) was undeterminable: name must be provided"
        raise ApiError(400, text)
    if fields["name"] != target.name:
        text = f"the name of the object ({fields['name']}) does not match the name on the URL ({target.name})"
        raise ApiError(400, text)
    if fields.get("namespace") not in (None, "", target.namespace):
        text = "the namespace of the provided object does not match the namespace sent on the request"
        raise ApiError(400, text)


def _placed(body: Manifest, target: Target) -> Manifest:
    """The body with the namespace that the path says."""
    fields = body.get("metadata")
    if fields is not None and not isinstance(fields, dict):
        return body
    return {**body, "metadata": {**(fields or {}), "namespace": target.namespace}}


def _merged(present: Any, patch: Any) -> Any:
    """RFC 7386; what does not change is shared."""
    if not isinstance(patch, dict):
        return patch
    out = dict(present) if isinstance(present, dict) else {}
    changed = not isinstance(present, dict)
    for name, value in patch.items():
        if value is None:
            changed |= out.pop(name, _ABSENT) is not _ABSENT
        else:
            before = out.get(name)
            merged = _merged(before, value)
            if merged is not before and not (name in out and same(merged, before)):
                out[name] = merged
                changed = True
    return out if changed else present


_ABSENT = object()


def _kept(manifest: Manifest, present: Manifest) -> Manifest:
    """What a writer cannot take away: who the object is, and that it is being deleted."""
    before, after = present["metadata"], dict(manifest["metadata"])
    for field in ("name", "namespace", "uid", "creationTimestamp"):
        if not after.get(field):
            after[field] = before[field]
    for field in ("generation", "resourceVersion"):
        after.pop(field, None)
        if field in before:
            after[field] = before[field]
    if before.get("deletionTimestamp"):
        after["deletionTimestamp"] = before["deletionTimestamp"]
        if "deletionGracePeriodSeconds" in before:
            after.setdefault("deletionGracePeriodSeconds", before["deletionGracePeriodSeconds"])
    after.pop("selfLink", None)
    return {**manifest, "metadata": after}


def _each_owner_once(manifest: Manifest) -> Manifest:
    """The object without owners that stand there word for word already."""
    owners = manifest["metadata"].get("ownerReferences") or []
    once = [owner for number, owner in enumerate(owners) if owner not in owners[:number]]
    return manifest if len(once) == len(owners) else with_metadata(manifest, ownerReferences=once)


def _nothing_for_empty_lists(value: Any, live: Any) -> Any:
    """The result of an apply as it is merged: an empty list is none. What is `live`'s own is left as it is."""
    if value is live:
        return value
    if isinstance(value, dict):
        before = live if isinstance(live, dict) else {}
        parts = {name: _nothing_for_empty_lists(item, before.get(name)) for name, item in value.items()}
        return value if all(parts[name] is item for name, item in value.items()) else parts
    if isinstance(value, list):
        items = [_nothing_for_empty_lists(item, None) for item in value]
        return None if not items else value if all(a is b for a, b in zip(items, value, strict=True)) else items
    return value


def _unchanged(manifest: Manifest, present: Manifest) -> bool:
    """Whether an update is none; when somebody became an owner does not count."""
    for name, value in manifest.items():
        if name != "metadata" and (name not in present or not same(value, present[name])):
            return False
    if len(manifest) != len(present):
        return False
    after, before = manifest["metadata"], present["metadata"]
    if len(after) != len(before):
        return False
    for name, value in after.items():
        if name == "managedFields":
            if not same(_timeless(value), _timeless(before.get(name) or [])):
                return False
        elif name not in before or not same(value, before[name]):
            return False
    return True


def _timeless(entries: list[Manifest]) -> list[Manifest]:
    return sorted(
        ({name: value for name, value in entry.items() if name != "time"} for entry in entries),
        key=lambda entry: (entry["operation"], entry["manager"], entry["apiVersion"], entry.get("subresource", "")),
    )
