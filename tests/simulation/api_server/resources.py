"""The kinds that are served: what each does with an object before it is stored."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import yaml

from mlops.api import kinds
from mlops.api.base import MAX_NAME
from tests.simulation.api_server import crd, defaults, errors, gotypes, job_rules, metadata, pod_rules, rules
from tests.simulation.api_server.causes import required
from tests.simulation.api_server.errors import ApiError, Cause
from tests.simulation.api_server.fields import MEMBER, Fields
from tests.simulation.api_server.memo import Memo
from tests.simulation.api_server.shapes import Type
from tests.simulation.api_server.typed import MISSING, same

Manifest = dict[str, Any]

_CRDS = Path(__file__).resolve().parents[3] / "crds"


class Resource:
    """One kind. Objects are read into the form in which they are stored, prepared, and then checked."""

    # Whether an update without a resourceVersion is taken, and one of an object that is not there makes it.
    unconditional, creates_on_update = True, False
    # Whether the answer to a deletion is the object, and what becomes of its dependents if nobody says.
    returns_deleted, orphans = False, False
    # Whether the garbage collector looks after its dependents.
    collected = True
    generations = True
    # Whether the items of a list say what they are.
    lists_whole = False
    # Whether a body that cannot be read is told by its fields.
    unstructured = False

    def __init__(self, group: str, version: str, plural: str, kind: str, type_: Type, *, status: bool) -> None:
        self.group, self.version, self.plural, self.kind, self.type = group, version, plural, kind, type_
        self.status = status
        self.invalid_group = group
        self.api_version = f"{group}/{version}" if group else version
        # What a write to the object or to its status cannot change.
        self.reset: Fields = {"f:status": MEMBER} if status else {}
        self.reset_status: Fields = {"f:spec": MEMBER}

    def empty(self) -> Manifest:
        """What a new object is compared with, to see what a create has set."""
        raise NotImplementedError

    def read(self, body: Manifest, old: Manifest | None, *, applied: bool = False) -> Manifest:
        """Read a body: pruned, defaulted, a copy where it differs. Parts that are `old`'s own are taken as read.

        `applied`: the body is the result of server-side apply, which leaves nulls in. Raises ApiError (400) if
        something cannot be read.
        """
        raise NotImplementedError

    def prepare_create(self, manifest: Manifest, random: Random) -> Manifest:
        """Set what only the server sets."""
        return {name: value for name, value in manifest.items() if name != "status"}

    def prepare_update(self, manifest: Manifest, old: Manifest) -> Manifest:
        """Undo what this way of writing cannot change, and count the generation."""
        raise NotImplementedError

    def prepare_status(self, manifest: Manifest, old: Manifest) -> Manifest:
        """Likewise for a write to the status."""
        raise NotImplementedError

    def check(self, manifest: Manifest, old: Manifest | None) -> list[Cause]:
        """What is wrong with an object that is created or updated."""
        raise NotImplementedError

    def nameless(self) -> ApiError:
        """How an object without a name is refused."""
        return errors.invalid(self.invalid_group, self.kind, "", metadata.check_name("", label_name=False))

    def stored(self, manifest: Manifest) -> Manifest:
        """The object as it is read back."""
        return manifest

    def counts_unread(self, body: Manifest) -> bool:
        """Whether the result of an apply is a new generation for what is taken off it when it is read back."""
        return False

    def check_unread(self, body: Manifest) -> list[Cause]:
        """What is wrong with what is taken off it."""
        return []

    def check_status(self, manifest: Manifest, old: Manifest) -> list[Cause]:
        """What is wrong with a new status, and the metadata that came with it."""
        return metadata.check(manifest) + metadata.check_update(manifest, old)


def with_metadata(manifest: Manifest, **changes: Any) -> Manifest:
    """The object with other metadata; None takes a field away."""
    fields = {**manifest["metadata"], **changes}
    return {**manifest, "metadata": {name: value for name, value in fields.items() if value is not None}}


# --- the kinds of CustomResourceDefinitions ---


class Custom(Resource):
    """A kind that a CustomResourceDefinition declares."""

    unconditional, lists_whole, unstructured = False, True, True

    def __init__(self, definition: Manifest) -> None:
        spec = definition["spec"]
        (version,) = spec["versions"]
        node = version["schema"]["openAPIV3Schema"]
        self._schema = crd.schema_of(node)
        self._spec = self._schema.properties["spec"]
        self._status = self._schema.properties["status"]
        type_ = crd.type_of(self._schema)
        type_.fields["metadata"] = gotypes.type_of("meta/v1.ObjectMeta")
        names = spec["names"]
        super().__init__(spec["group"], version["name"], names["plural"], names["kind"], type_, status=True)
        self._metadata = gotypes.struct("meta/v1.ObjectMeta")

    def empty(self) -> Manifest:
        return {"apiVersion": self.api_version, "kind": self.kind, "metadata": {}}

    def read(self, body: Manifest, old: Manifest | None, *, applied: bool = False) -> Manifest:
        out = {"apiVersion": self.api_version, "kind": self.kind}
        try:
            out["metadata"] = self._metadata(body.get("metadata"))
        except gotypes.WrongType as error:
            raise ApiError(400, f"{self.kind} in version {self.version!r} cannot be handled: {error}") from error
        for name, schema in self._schema.properties.items():
            if name in ("apiVersion", "kind", "metadata"):
                continue
            if body.get(name) is not None or (applied and name in body):
                shared = old is not None and body[name] is old.get(name)
                out[name] = body[name] if shared else _read_part(schema, body[name], applied)
            elif schema.default is not MISSING:
                out[name] = crd.defaulted(schema, schema.default)
        return out

    def prepare_create(self, manifest: Manifest, random: Random) -> Manifest:
        # A default of the status stands for one that was never written.
        created = super().prepare_create(manifest, random)
        return with_metadata(created, generation=1)

    def stored(self, manifest: Manifest) -> Manifest:
        # Defaults are filled in then, too.
        if "status" in manifest or self._status.default is MISSING:
            return manifest
        return {**manifest, "status": crd.defaulted(self._status, self._status.default)}

    def counts_unread(self, body: Manifest) -> bool:
        # Generations are counted before it is pruned, each time that it is sent.
        if any(name not in self._schema.properties for name in body):
            return True
        return "spec" in body and crd.pruned(self._spec, body["spec"], nulls=True) is not body["spec"]

    def check_unread(self, body: Manifest) -> list[Cause]:
        # Rules compare what was sent: a field that nobody knows makes an immutable one another.
        spec = body.get("spec") or {}
        if self.kind == "TrainingRun" and spec.get("triggers"):
            return []
        fields = ((name, self._spec.properties[name]) for name in _FIXED.get(self.kind, ()) if name in spec)
        changed = [name for name, schema in fields if crd.pruned(schema, spec[name], nulls=True) is not spec[name]]
        return [Cause("spec", f"Invalid value: spec.{changed[0]} is immutable")] if changed else []

    def prepare_update(self, manifest: Manifest, old: Manifest) -> Manifest:
        kept = dict(manifest)
        kept.pop("status", None)
        if "status" in old:
            kept["status"] = old["status"]
        generation = old["metadata"]["generation"]
        changed = not same(kept.get("spec"), old.get("spec"))
        return with_metadata(kept, generation=generation + changed)

    def prepare_status(self, manifest: Manifest, old: Manifest) -> Manifest:
        kept = with_metadata(old, managedFields=manifest["metadata"].get("managedFields"))
        kept.pop("status", None)
        if "status" in manifest:
            kept["status"] = manifest["status"]
        return kept

    def check(self, manifest: Manifest, old: Manifest | None) -> list[Cause]:
        causes = metadata.check(manifest)
        if old is not None:
            causes += metadata.check_update(manifest, old)
            if manifest.get("spec") is old.get("spec"):
                return causes
        if "spec" not in manifest:
            return [*causes, required("spec")]
        return causes + (_validated(self._spec, manifest["spec"], "spec") or self._rules(manifest, old))

    def _rules(self, manifest: Manifest, old: Manifest | None) -> list[Cause]:
        """What the rules in CEL say."""
        name = manifest["metadata"]["name"]
        if len(name) > MAX_NAME or "." in name:
            # A rule of the whole object has no field.
            rule = kinds.NAME_RULE if len(name) > MAX_NAME else kinds.DOT_RULE
            return [Cause("<nil>", f"Invalid value: {rule.message}")]
        found = _parse(self.kind, self.api_version, manifest["spec"])
        if isinstance(found, kinds.InvalidObject):
            return [Cause(self._place(field), f"Invalid value: {text}") for field, text in found.causes]
        if old is None:
            return []
        try:
            kinds.check_update(found, _parse(self.kind, self.api_version, old["spec"]))
        except kinds.InvalidObject as error:
            return [Cause(field, f"Invalid value: {text}") for field, text in error.causes]
        # To the models a field that is left out is one with its default; to the API server it is another spec.
        fixed = () if manifest["spec"].get("triggers") else _FIXED.get(self.kind, ())
        changed = [name for name in fixed if not self._stays(name, manifest["spec"], old["spec"])]
        return [Cause("spec", f"Invalid value: spec.{changed[0]} is immutable")] if changed else []

    def _place(self, field: str) -> str:
        """Return the name of a field of the spec, as rules in CEL say it."""
        return "spec" + crd.place(self._spec, field.removeprefix("spec")) if field.startswith("spec") else field

    def _stays(self, name: str, new: Manifest, old: Manifest) -> bool:
        if name not in new or name not in old:
            return name not in new and name not in old
        schema = self._spec.properties[name]
        return same(crd.in_order(schema, new[name]), crd.in_order(schema, old[name]))

    def check_status(self, manifest: Manifest, old: Manifest) -> list[Cause]:
        if "status" not in manifest:
            return []
        return crd.validate(self._status, manifest["status"], "status")


# What the transition rules compare.
_FIXED = {
    "ModelVersion": ("modelName", "version", "artifact", "source", "lineage"),
    "TrainingRun": (
        "datasetRef",
        "trainer",
        "search",
        "reproducibility",
        "gates",
        "register",
        "resources",
        "activeDeadlineSeconds",
        "backoffLimit",
    ),
}


def _read_custom(schema: crd.Schema, value: Any, applied: bool) -> Any:
    # What server-side apply knows no structure of comes through it, and is pruned afterwards; nulls are not.
    return crd.defaulted(schema, crd.pruned(schema, value, nulls=applied))


def _parsed(kind: str, api_version: str, spec: Manifest) -> Any:
    """The product's own object of a spec, or what is wrong with it: its models have the same rules as the CEL."""
    try:
        return kinds.parse({"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}, "spec": spec})
    except kinds.InvalidObject as error:
        return error


_read_part, _validated, _parse = Memo(_read_custom), Memo(crd.validate), Memo(_parsed)


# --- the built-in kinds ---


class Builtin(Resource):
    """A kind that the API server knows by itself."""

    def __init__(
        self,
        struct: str,
        plural: str,
        *,
        default: defaults.Default = defaults.nothing,
        rules: Callable[[Manifest, Manifest | None], list[Cause]],
        group: str | None = None,
        status: bool = True,
    ) -> None:
        package, _, kind = struct.rpartition(".")
        folder, _, version = package.partition("/")
        super().__init__(
            {"core": ""}.get(folder, folder) if group is None else group,
            version,
            plural,
            kind,
            gotypes.type_of(struct),
            status=status,
        )
        self._struct, self._default, self._rules = gotypes.struct(struct), default, rules
        self._metadata = gotypes.struct("meta/v1.ObjectMeta")
        self._empty: Manifest = self._struct({})
        self._parts: dict[str, Callable[[Any], Any]] = {
            name: gotypes.struct(value) for name, value in gotypes.parts(struct).items()
        }
        if "spec" in self._parts:
            self._spec = self._parts["spec"]
            self._parts["spec"] = Memo(self._read_spec)

    def empty(self) -> Manifest:
        return self._empty

    def read(self, body: Manifest, old: Manifest | None, *, applied: bool = False) -> Manifest:
        try:
            return self._read(body, old)
        except gotypes.WrongType as error:
            message = f'{self.kind} in version "{self.version}" cannot be handled as a {self.kind}: {error}'
            raise ApiError(400, message) from error

    def _read(self, body: Manifest, old: Manifest | None) -> Manifest:
        named = {"apiVersion": self.api_version, "kind": self.kind}
        if not self._parts:
            return {**self._struct(body), **named}
        manifest = {**named, "metadata": self._part("metadata", self._metadata, body)}
        for name, read in self._parts.items():
            shared = old is not None and body.get(name) is old.get(name)
            manifest[name] = old[name] if shared and old else self._part(name, read, body)
        return manifest

    @staticmethod
    def _part(name: str, read: Callable[[Any], Any], body: Manifest) -> Any:
        try:
            return read(body.get(name))
        except gotypes.WrongType as error:
            raise error.below(name) from None

    def _read_spec(self, value: Any) -> Manifest:
        holder = {"spec": self._spec(value)}
        self._default(holder)
        return holder["spec"]  # type: ignore[no-any-return]

    def prepare_create(self, manifest: Manifest, random: Random) -> Manifest:
        created = dict(manifest)
        if self.status:
            created["status"] = self._parts["status"]({})
        return with_metadata(created, generation=1) if self.generations else created

    def prepare_update(self, manifest: Manifest, old: Manifest) -> Manifest:
        kept = {**manifest, "status": old["status"]} if self.status else manifest
        generation = old["metadata"].get("generation")
        if generation is not None and self.generations:
            generation += self.counts(kept, old)
        return with_metadata(kept, generation=generation)

    def counts(self, manifest: Manifest, old: Manifest) -> bool:
        """Whether an update is a new generation."""
        return not same(manifest["spec"], old["spec"])

    def prepare_status(self, manifest: Manifest, old: Manifest) -> Manifest:
        return with_metadata({**manifest, "spec": old["spec"]}, generation=old["metadata"].get("generation"))

    def check(self, manifest: Manifest, old: Manifest | None) -> list[Cause]:
        causes = metadata.check(manifest, label_name=self.kind == "Service")
        if old is not None:
            causes += metadata.check_update(manifest, old)
            if manifest.get("spec", 0) is old.get("spec"):
                return causes
        return causes + self._rules(manifest, old)


class JobResource(Builtin):
    """Jobs: the server makes their selector, and watches over their end."""

    orphans = True

    def _read(self, body: Manifest, old: Manifest | None) -> Manifest:
        manifest = super()._read(body, old)
        labels = manifest["spec"]["template"]["metadata"].get("labels")
        return with_metadata(manifest, labels=manifest["metadata"].get("labels") or labels)

    def prepare_create(self, manifest: Manifest, random: Random) -> Manifest:
        created = super().prepare_create(manifest, random)
        if created["spec"].get("manualSelector"):
            return created
        fields, spec = created["metadata"], created["spec"]
        by_name, by_uid = fields["name"], fields["uid"]
        template = spec["template"]
        own = {"job-name": by_name, "controller-uid": by_uid}
        labels = {**own, **{f"batch.kubernetes.io/{key}": value for key, value in own.items()}}
        labels |= template["metadata"].get("labels") or {}
        selector = spec.get("selector") or {}
        wanted = {"batch.kubernetes.io/controller-uid": by_uid, **(selector.get("matchLabels") or {})}
        template = {**template, "metadata": {**template["metadata"], "labels": labels}}
        return {**created, "spec": {**spec, "template": template, "selector": {**selector, "matchLabels": wanted}}}

    def check_status(self, manifest: Manifest, old: Manifest) -> list[Cause]:
        return super().check_status(manifest, old) + job_rules.job_status(manifest, old)


class DeploymentResource(Builtin):
    """Deployments: their annotations count for the generation, too."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.reset_status = {**self.reset_status, "f:metadata": {"f:labels": MEMBER}}

    def prepare_status(self, manifest: Manifest, old: Manifest) -> Manifest:
        return with_metadata(super().prepare_status(manifest, old), labels=old["metadata"].get("labels"))

    def check_status(self, manifest: Manifest, old: Manifest) -> list[Cause]:
        return super().check_status(manifest, old) + rules.deployment_status(manifest)

    def counts(self, manifest: Manifest, old: Manifest) -> bool:
        before, after = old["metadata"].get("annotations") or {}, manifest["metadata"].get("annotations") or {}
        return super().counts(manifest, old) or before != after


class ServiceResource(Builtin):
    """Services: they get an address."""

    returns_deleted, creates_on_update = True, True
    generations = False

    def nameless(self) -> ApiError:
        # Its address is given out first, to an object that refuses to be nobody's, one address after the other.
        text = "Internal error occurred: failed to allocate a serviceIP: range is full"
        return ApiError(500, text, reason="InternalError", details={})

    def prepare_create(self, manifest: Manifest, random: Random) -> Manifest:
        created = super().prepare_create(manifest, random)
        spec = created["spec"]
        if spec["type"] == "ExternalName":
            return created
        address = spec.get("clusterIP") or f"10.96.{random.randrange(256)}.{random.randrange(1, 255)}"
        own = {"clusterIP": address, "clusterIPs": [address], "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"}
        return {**created, "spec": {**spec, **own}}

    def prepare_update(self, manifest: Manifest, old: Manifest) -> Manifest:
        kept = super().prepare_update(manifest, old)
        before, spec = old["spec"], kept["spec"]
        if spec["type"] == "ExternalName" or spec is before:
            return kept
        # What the server chose stays if the writer does not speak of it.
        chosen = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")
        missing = {name: before[name] for name in chosen if name in before and name not in spec}
        return {**kept, "spec": {**spec, **missing}} if missing else kept


class BudgetResource(Builtin):
    """PodDisruptionBudgets: an update must say which one was seen."""

    unconditional = False


class PodResource(Builtin):
    """Pods: they begin as Pending, and go by and by."""

    returns_deleted = True

    def _read(self, body: Manifest, old: Manifest | None) -> Manifest:
        manifest = super()._read(body, old)
        if old is None or manifest["status"] is not old["status"]:
            defaults.pod_addresses(manifest["status"])
        return manifest

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        own = {"f:deletionTimestamp": MEMBER, "f:ownerReferences": MEMBER}
        self.reset_status = {**self.reset_status, "f:metadata": own}

    def prepare_create(self, manifest: Manifest, random: Random) -> Manifest:
        created = super().prepare_create(manifest, random)
        spec = _admitted(created["spec"])
        return {**created, "spec": spec, "status": {"phase": "Pending", "qosClass": _quality(spec)}}

    def prepare_update(self, manifest: Manifest, old: Manifest) -> Manifest:
        if manifest["spec"] is not old["spec"]:
            manifest = {**manifest, "spec": _admitted(manifest["spec"])}
        return super().prepare_update(manifest, old)

    def prepare_status(self, manifest: Manifest, old: Manifest) -> Manifest:
        kept = with_metadata(
            super().prepare_status(manifest, old),
            ownerReferences=old["metadata"].get("ownerReferences"),
            deletionTimestamp=old["metadata"].get("deletionTimestamp"),
        )
        quality = old["status"].get("qosClass")
        status = kept["status"]
        return kept if status.get("qosClass") or not quality else {**kept, "status": {**status, "qosClass": quality}}

    def check_status(self, manifest: Manifest, old: Manifest) -> list[Cause]:
        return super().check_status(manifest, old) + pod_rules.pod_status(manifest, old)


def _admitted(spec: Manifest) -> Manifest:
    """The spec with what admission adds: the priority of no class, and for how long an unreachable node is borne."""
    return {"priority": 0, "preemptionPolicy": "PreemptLowerPriority", **spec, "tolerations": _tolerations(spec)}


def _tolerations(spec: Manifest) -> list[Manifest]:
    """A pod bears an unreachable node for five minutes, unless it says how long."""
    given = list(spec.get("tolerations") or ())
    for trouble in ("not-ready", "unreachable"):
        key = f"node.kubernetes.io/{trouble}"
        if not any(item.get("key", key) == key and item.get("effect") in (None, "NoExecute") for item in given):
            given.append({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
    return given


def _quality(spec: Manifest) -> str:
    resources = [container["resources"] for container in spec.get("containers") or ()]
    if not any(part.get("requests") or part.get("limits") for part in resources):
        return "BestEffort"
    for part in resources:
        limits, requests = part.get("limits") or {}, part.get("requests") or {}
        if any(name not in limits or limits[name] != requests.get(name, limits[name]) for name in ("cpu", "memory")):
            return "Burstable"
    return "Guaranteed"


class EventResource(Builtin):
    """Events."""

    generations, creates_on_update = False, True

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        # They are checked as the core's.
        self.invalid_group = ""
        self.collected = False

    def prepare_update(self, manifest: Manifest, old: Manifest) -> Manifest:
        return manifest


class LeaseResource(Builtin):
    """Leases: taken by replacing them, so an update must say which one was seen."""

    generations, unconditional, creates_on_update = False, False, True


class ConfigMapResource(Builtin):
    """ConfigMaps: they have neither a spec nor a status, and no generation."""

    generations = False

    def prepare_update(self, manifest: Manifest, old: Manifest) -> Manifest:
        return manifest


@cache
def served() -> dict[tuple[str, str, str], Resource]:
    """Every kind by group, version and plural."""
    definitions = [yaml.safe_load(path.read_text("utf-8")) for path in sorted(_CRDS.glob("*.yaml"))]
    found: list[Resource] = [Custom(definition) for definition in definitions]
    found += [
        JobResource("batch/v1.Job", "jobs", default=defaults.job, rules=job_rules.job),
        Builtin("batch/v1.CronJob", "cronjobs", default=defaults.cron_job, rules=job_rules.cron_job),
        DeploymentResource("apps/v1.Deployment", "deployments", default=defaults.deployment, rules=rules.deployment),
        ConfigMapResource("core/v1.ConfigMap", "configmaps", rules=rules.config_map, status=False),
        ServiceResource("core/v1.Service", "services", default=defaults.service, rules=rules.service),
        PodResource("core/v1.Pod", "pods", default=defaults.pod, rules=pod_rules.pod),
        BudgetResource(
            "policy/v1.PodDisruptionBudget",
            "poddisruptionbudgets",
            default=defaults.nothing,
            rules=rules.disruption_budget,
        ),
        Builtin(
            "autoscaling/v2.HorizontalPodAutoscaler",
            "horizontalpodautoscalers",
            default=defaults.autoscaler,
            rules=rules.autoscaler,
        ),
        EventResource("events/v1.Event", "events", rules=rules.event, group="events.k8s.io", status=False),
        LeaseResource("coordination/v1.Lease", "leases", rules=rules.lease, group="coordination.k8s.io", status=False),
    ]
    return {(resource.group, resource.version, resource.plural): resource for resource in found}
