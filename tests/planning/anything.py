"""Any value that a type of the API allows, drawn from its schema: a field that is added tomorrow is drawn tomorrow.

Values come from a `random.Random`, so that hypothesis can drive them (`st.randoms`) and a program can draw 100,000 of
them from one seed. Names, digests and timestamps come from small pools: objects must be able to name each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from random import Random
from typing import Any, TypeVar

from pydantic import StringConstraints, ValidationError

from mlops.api import (
    affinity,
    approval,
    base,
    canary,
    dataset,
    delimited,
    resources,
    sql_source,
    stage_access,
    time_format,
    training_run,
)
from mlops.api.base import Model
from mlops.api.kinds import KINDS, models_of

_TRIES = 50

T = TypeVar("T")
Object = dict[str, Any]

NAMES = ("rain", "a", "rain-v1", "0", "n" * 52, "rain-v2", "x--v3", "9-9", "m" * 51 + "0", "rain-7")
MODELS = ("rain", "m" * 40)
STAGES = ("production", "dev", "s" * 20, "a")
DIGESTS = tuple("sha256:" + letter * 64 for letter in "0ae1")
# Around the present of the tests (2026-01-10T12:00:00Z), and the first and the last that can be written.
TIMESTAMPS = (
    "2026-01-10T12:00:00Z",
    "2026-01-10T11:00:00Z",
    "2026-01-10T11:59:59.999999Z",
    "2026-01-10T13:00:00.5Z",
    "2026-01-03T12:00:00Z",
    "2024-02-29T00:00:00Z",
    "1970-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59.999999Z",
)
TEXTS = ("", "a", "two words", "ümläut", "日本語のデータ", "a\nb\tc", "😀" * 9, "'\"{}$(X)`", "\x00", "null", "-1")
NUMBERS = (0, 1, -1, 2, 3, 7, 100, 2**31 - 1, 2**31, -(2**31), 10**12)


def pattern_of(annotated: Any) -> str:
    """Return the pattern that a type of text has."""
    (constraints,) = (each for each in annotated.__metadata__ if isinstance(each, StringConstraints))
    assert isinstance(constraints.pattern, str)
    return constraints.pattern


# What a text of this pattern may be; a pattern that is not here fails loudly.
PATTERNS: dict[str, Sequence[str]] = {
    pattern_of(annotated): texts
    for annotated, texts in (
        (base.Name, NAMES),
        (base.StageName, STAGES),
        (base.FieldName, ("time", "wind", "rain", "_", "a.b-c", "F" * 64, "time2")),
        (base.Digest, DIGESTS),
        (
            base.Decimal,
            ("0.85", "0", "-0", "1", "-1.5", "1e999", "-1e999", "1e-999", "9" * 30 + "." + "9" * 30, "0.50"),
        ),
        (base.Fraction, ("0", "1", "0.2", "0.6", "0.000000000001", "1.000000000000", "0.5")),
        (base.Duration, ("24h", "0s", "1s", "1d12h", "999999d999999d999999d999999d", "30d", "000000m")),
        (base.Cron, ("0 * * * *", "*/30 0-6 * JAN,3 MON", "59 23 31 12 7", "0 0 1 1 0")),
        (base.TimeZone, ("UTC", "Europe/Berlin", "Etc/GMT+5", "N" * 64)),
        (base.Expression, ("wind > 1", "rain = 'yes'", "日本 > 1", "e" * 1024)),
        (base.S3Uri, ("s3://raw/weather/", "s3://raw/day.csv", "s3://raw/" + "p" * 1000)),
        (base.ObjectName, ("grid", "grid.archive-1", "s" * 253)),
        (base.Timestamp, TIMESTAMPS),
        (dataset.Url, ("https://example.com/a.csv", "http://h", "https://ü.example/" + "p" * 2000)),
        (sql_source.Query, ("SELECT wind FROM weather", "with x as (select 1) table x", "DROP TABLE x", "q" * 8192)),
        (training_run.MetricName, ("roc_auc", "rmse", "own_metric", "m" * 64)),
        (training_run.ParamName, ("C", "max_iter", "P" * 64)),
        (training_run.ClassName, ("LogisticRegression", "Ridge", "Nothing", "E" * 64)),
        (training_run.Image, ("registry.example/train:1", "i", "i" * 512)),
        (delimited.Mark, (",", ".", "'", "€")),
        (delimited.MarkOrNone, ('"', "", "\\", "'")),
        (delimited.Marks, (";", "\t", "||", "日" * 8)),
        (delimited.RowEnd, ("\n", "\r\n", "\r")),
        (time_format.TimeFormat, ("%d.%m.%Y", "%s", "%Y-%j T", "%y年%m%d")),
        (resources.ResourceName, ("cpu", "memory", "nvidia.com/gpu", f"{'d' * 63}/{'e' * 62}")),
        (affinity.LabelKey, ("example.com/team", "pool", "sidecar.istio.io/inject", f"{'d' * 253}/{'k' * 63}")),
        (affinity.LabelValue, ("gpu", "", "7", "v" * 63)),
        (stage_access.ClientName, ("batch", "_", "team-a.batch", "C" * 253)),
        (canary.HeaderName, ("X-User-Id", "0", "h" * 64)),
        (approval.Identity, ("alice", "bob", "ml-approvers", "ML Approvers", "ü" * 253)),
        (stage_access.ClaimText, ("https://issuer.example.com", "system:serviceaccount:team:caller", "~" * 512)),
        (resources.Quantity, ("1", "500m", "0.5", "2Gi", "999999999999Ti", "0")),
    )
} | {
    r"^[0-9a-f]{64}$": ("ab" * 32, "0" * 64),
    r"^[^\x00.]+([.][^\x00.]+)*$": ("data.items", "rows", "k" * 256),
    r"^[^\x00:\\/?*\[\]]{1,31}$": ("Sheet1", "日本", "s" * 31),
    r"^[A-Z]{1,3}[1-9][0-9]{0,6}(:[A-Z]{1,3}[1-9][0-9]{0,6})?$": ("B3", "B3:F200", "XFD9999999"),
    r"^[^\x00]+$": ("Fare Amount ($)", "日本", "c" * 256),
    r"^[^\x00-\x200-9+.,-]+$": ("$", "€", "%", "U" * 16),
    r"^[A-Za-z_][A-Za-z0-9_]*$": ("DEPTH", "OMP_NUM_THREADS", "TZ", "_", "V" * 128),
}


class Draw:
    """Choices made by a Random; zero is always the plain one, so that hypothesis shrinks to plain objects.

    `fullness` is the chance that an optional field is there; `fresh`: statuses are the operator's own, never drawn.
    """

    def __init__(self, random: Random, fullness: float = 0.4, *, fresh: bool = False) -> None:
        self.random, self.fullness, self.fresh = random, fullness, fresh

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self.random.randrange(1000) >= 1000 - 1000 * probability

    def one(self, values: Sequence[T]) -> T:
        """Return one of the values."""
        return values[self.random.randrange(len(values))]

    def some(self, values: Sequence[T], limit: int | None = None) -> list[T]:
        """Return some of the values, each at most once, in any order."""
        left, found = list(values), []
        for _ in range(self.random.randrange(min(limit or len(left), len(left)) + 1)):
            found.append(left.pop(self.random.randrange(len(left))))
        return found

    def number(self, lowest: int | None, highest: int | None) -> int:
        """Return a number in the range, often one of its ends."""
        allowed = [n for n in NUMBERS if (lowest is None or n >= lowest) and (highest is None or n <= highest)]
        return self.one([n for n in (lowest, highest) if n is not None] + allowed)

    def text(self, longest: int | None) -> str:
        """Return any text of at most `longest` characters."""
        text = self.one(TEXTS)
        if longest is not None and longest <= 512 and self.chance(0.05):
            return "é" * longest
        return text[:longest]


Maker = Callable[[Draw], Any]


def value(model: type[Model], draw: Draw) -> Object:
    """Return an object of the type, as its YAML shape."""
    drawn: Object = _maker(model)(draw)
    return drawn


def part(kind: str, name: str) -> type[Model]:
    """Return the type of a kind's spec or status."""
    found = KINDS[kind].model_fields[name].annotation
    assert isinstance(found, type)
    assert issubclass(found, Model)
    return found


@cache
def _maker(model: type[Model]) -> Maker:
    document = model.model_json_schema(by_alias=True, mode="validation")
    names = {each.__name__: each for each in models_of(model)}
    return _Schema(document.get("$defs", {}), names).object(document, model)


class _Schema:
    """Turns nodes of a JSON schema into functions that draw a value."""

    def __init__(self, definitions: Object, models: dict[str, type[Model]]) -> None:
        self.definitions, self.models = definitions, models

    def node(self, node: Object, name: str) -> Maker:
        if "anyOf" in node:
            (node,) = [option | _bounds(node) for option in node["anyOf"] if option != {"type": "null"}]
        if "$ref" in node:
            title = node["$ref"].rsplit("/", 1)[1]
            return self.object(self.definitions[title], self.models[title])
        if "const" in node:
            return lambda draw: node["const"]
        if "enum" in node:
            return lambda draw: draw.one(node["enum"])
        match node["type"]:
            case "boolean":
                return lambda draw: draw.chance(0.5)
            case "integer":
                return lambda draw: draw.number(node.get("minimum"), node.get("maximum"))
            case "string":
                return self.text(node, name)
            case "array":
                return self.array(node, name)
            case "object":
                return self.map(node)
        raise TypeError(f"{name}: cannot draw {node}")

    def object(self, node: Object, model: type[Model]) -> Maker:
        required = set(node.get("required", ()))
        fields = [
            (name, self.node(child, name), name in required)
            for name, child in node.get("properties", {}).items()
            if name != "conditions"
        ]
        mend, ruled = MENDS.get(model.__name__), any(not rule.transition for rule in model.rules)

        def once(draw: Draw, fullness: float) -> Object:
            drawn = {name: child(draw) for name, child, needed in fields if needed or draw.chance(fullness)}
            if mend is not None:
                mend(draw, drawn, {name: child for name, child, _ in fields})
            return drawn

        def make(draw: Draw) -> Object:
            for _ in range(_TRIES if ruled and mend is None else 0):
                if _is_let_in(model, drawn := once(draw, draw.fullness)):
                    return drawn
            if ruled and mend is None:
                raise TypeError(f"{model.__name__}: of {_TRIES} drawn none obeys its rules: enter a mend")
            return once(draw, draw.fullness)

        return make

    def text(self, node: Object, name: str) -> Maker:
        longest = node.get("maxLength")
        if pattern := node.get("pattern"):
            # The names of models and of stages have one pattern and different lengths.
            texts = MODELS if name == "modelName" else PATTERNS[pattern]
            allowed = [text for text in texts if longest is None or len(text) <= longest]
            return lambda draw: draw.one(allowed)
        return lambda draw: draw.text(longest)

    def array(self, node: Object, name: str) -> Maker:
        item, least = self.node(node["items"], name), node.get("minItems", 0)
        most, key = node.get("maxItems", 3), next(iter(node.get("x-kubernetes-list-map-keys", ())), None)

        def make(draw: Draw) -> list[Any]:
            count = least + draw.random.randrange(4)
            # Rarely as many as there may be: of 512 fields with 256 values each, one list is drawn full, not all.
            if draw.chance(0.004) and count > least:
                count = most
            items = [item(draw) for _ in range(min(count, most))]
            if key is None:
                return items
            return list({each[key]: each for each in items}.values())

        return make

    def map(self, node: Object) -> Maker:
        ((pattern, values),) = node.get("patternProperties", {"": node.get("additionalProperties", {})}).items()
        item = self.node(values, "value")
        keys = PATTERNS[pattern] if pattern else ("C", "max iter", "日本")
        return lambda draw: {key: item(draw) for key in draw.some(keys, 3)}


def _is_let_in(model: type[Model], drawn: Object) -> bool:
    try:
        model.model_validate(drawn)
    except ValidationError:
        return False
    return True


def _bounds(node: Object) -> Object:
    return {key: value for key, value in node.items() if key.startswith(("x-", "min", "max"))}


# --- rules that hold over several fields, where drawing again would take long, or never come to some of them ---

Fields = dict[str, Maker]
Mend = Callable[[Draw, Object, Fields], None]


def _one_of(*names: str) -> Mend:
    def mend(draw: Draw, drawn: Object, fields: Fields) -> None:
        kept = draw.one(names)
        for name in names:
            drawn.pop(name, None)
        drawn[kept] = fields[kept](draw)

    return mend


def _fitting(field: Object) -> None:
    """Leave out of a field what is for other types."""
    if field["type"] not in ("float64", "int64"):
        for name in ("min", "max", "symbols"):
            field.pop(name, None)
    if field["type"] != "string":
        field.pop("enum", None)
    if field["type"] != "timestamp":
        field.pop("formats", None)
        field.pop("timeZone", None)
    if "timeZone" not in field:
        field.pop("ambiguousTimes", None)
        field.pop("nonexistentTimes", None)


def _field(draw: Draw, drawn: Object, fields: Fields) -> None:
    if drawn.get("role") == "timestamp":
        drawn["type"] = "timestamp"
    _fitting(drawn)
    if "column" in drawn:
        drawn.pop("position", None)
    if drawn.get("role") != "label" or drawn["type"] not in ("string", "int64", "boolean"):
        drawn.pop("positiveClass", None)
    if "positiveClass" in drawn and "enum" in drawn:
        drawn["positiveClass"] = draw.one(drawn["enum"])
    _ordered(draw, drawn, fields)


def _csv(draw: Draw, drawn: Object, fields: Fields) -> None:
    if drawn.get("thousands") == drawn.get("decimal", "."):
        drawn.pop("thousands", None)
    words = {name: [f"{name}{i}" for i in range(len(drawn.get("trueValues", ())))] for name in ("true", "false")}
    drawn.update(trueValues=words["true"], falseValues=words["false"])


def _fill(draw: Draw, drawn: Object, fields: Fields) -> None:
    _one_of("value", "strategy")(draw, drawn, fields)
    if drawn.get("strategy") != "forward":
        drawn.pop("by", None)


def _ordered(draw: Draw, drawn: Object, fields: Fields) -> None:
    if "min" in drawn and "max" in drawn:
        drawn["min"], drawn["max"] = sorted((drawn["min"], drawn["max"]), key=float)


def _dataset(draw: Draw, drawn: Object, fields: Fields) -> None:
    for role in ("label", "timestamp"):
        for extra in [field for field in drawn["fields"] if field.get("role") == role][1:]:
            extra["role"] = "feature"
            extra.pop("positiveClass", None)
    if sql := drawn["source"].get("sql"):
        drawn.pop("format", None)
        if "incremental" in sql:
            sql["incremental"] = {"column": "the_watermark"}
            drawn["fields"].append({"name": "the_watermark", "type": "int64"})
    if drawn.get("format") != "csv":
        drawn.pop("csv", None)
        for field in drawn["fields"]:
            field.pop("position", None)
    for name in ("json", "excel"):
        if drawn.get("format") != name:
            drawn.pop(name, None)
    if "csv" in drawn:
        if drawn["csv"].get("header") == 0:
            drawn["csv"]["header"] = 1
        if drawn.get("validation", {}).get("onFailure") != "Quarantine":
            drawn["csv"].pop("ragged", None)
    roles = {field.get("role") for field in drawn["fields"]}
    strategy = drawn.get("split", {}).get("strategy")
    if "freshness" in drawn and not {"sql", "http"}.isdisjoint(drawn["source"]):
        drawn["freshness"]["measure"] = "EventTime"
    by_event = drawn.get("freshness", {}).get("measure") == "EventTime"
    if ("captured" in drawn["source"] or strategy == "time" or by_event) and "timestamp" not in roles:
        drawn["fields"].append({"name": "the_time", "type": "timestamp", "role": "timestamp"})
    if strategy == "hash" and "entityKey" not in roles:
        drawn["fields"].append({"name": "the_key", "type": "string", "role": "entityKey"})

    if draw.chance(0.8):
        _can_be_trained_on(drawn)


def _can_be_trained_on(drawn: Object) -> None:
    """Most are to get as far as their Jobs: put right what specs alone show to be wrong."""
    if all(field.get("role") != "label" for field in drawn["fields"]):
        drawn["fields"].append({"name": "the_label", "type": "string", "role": "label"})
    for field in drawn["fields"]:
        if field.get("role") == "label":
            field["type"] = "string"
        elif field.get("role", "feature") == "feature" and field["type"] == "timestamp":
            field["type"] = "boolean"
        _fitting(field)
    names = {field["name"] for field in drawn["fields"]}
    drawn["features"] = [each for each in drawn.get("features", ()) if each["name"] not in names]
    known = {*names, *(each["name"] for each in drawn["features"])}
    by_event = drawn.get("freshness", {}).get("measure") == "EventTime"
    shown = {field["name"] for field in drawn["fields"] if field.get("role") == "timestamp"} if by_event else set()
    for group in ("pii", "piiInModels", "piiInCaptures"):
        if group in drawn.get("governance", {}):
            drawn["governance"][group] = [name for name in drawn["governance"][group] if name in known - shown]
    drawn["clean"] = [step for step in drawn.get("clean", ()) if "filter" in step]


def _fractions(draw: Draw, drawn: Object, fields: Fields) -> None:
    parts = ("0.6", "0.2", "0.2"), ("1", "0", "0"), ("0.5", "0.5", "0"), ("0.000000000001", "0.5", "0.5")
    drawn.update(zip(("train", "validation", "test"), draw.one(parts), strict=True))


def _dataset_ref(draw: Draw, drawn: Object, fields: Fields) -> None:
    if "version" in drawn and draw.chance(0.5):
        drawn["version"] = 1
    if "notBefore" in drawn:
        drawn.pop("version", None)


def _gate(draw: Draw, drawn: Object, fields: Fields) -> None:
    if not drawn.keys() & {"min", "max", "compareTo"}:
        drawn["compareTo"] = "champion"
    _ordered(draw, drawn, fields)


def _resources(draw: Draw, drawn: Object, fields: Fields) -> None:
    for side in drawn.values():
        side |= {device: draw.one(("1", "8", "0")) for device in side if "/" in device}
    for amount, limit in drawn.get("limits", {}).items():
        if amount in drawn.get("requests", {}):
            drawn["requests"][amount] = limit


def _requirement(draw: Draw, drawn: Object, fields: Fields) -> None:
    match drawn["operator"]:
        case "In" | "NotIn":
            drawn["values"] = drawn.get("values") or ["gpu"]
        case "Gt" | "Lt":
            drawn["values"] = ["7"]
        case _:
            drawn.pop("values", None)


def _pod_selector(draw: Draw, drawn: Object, fields: Fields) -> None:
    for each in drawn.get("matchExpressions", ()):
        if each["operator"] in ("Gt", "Lt"):
            each["operator"] = "In"


def _toleration(draw: Draw, drawn: Object, fields: Fields) -> None:
    if "key" not in drawn:
        drawn["operator"] = "Exists"
    if drawn.get("operator") == "Exists":
        drawn.pop("value", None)
    if "tolerationSeconds" in drawn:
        drawn["effect"] = "NoExecute"


def _autoscaling(draw: Draw, drawn: Object, fields: Fields) -> None:
    if drawn.get("autoscalerClass") == "External":
        for name in ("maxReplicas", "targetCPUUtilization", "targetConcurrency"):
            drawn.pop(name, None)
        return
    _one_of("targetCPUUtilization", "targetConcurrency")(draw, drawn, fields)
    drawn["minReplicas"] = max(1, drawn.get("minReplicas", 1))
    drawn["maxReplicas"] = max(drawn["minReplicas"], drawn.get("maxReplicas", 1))


def _stage(draw: Draw, drawn: Object, fields: Fields) -> None:
    if "autoscaling" in drawn:
        drawn.pop("replicas", None)
    if "v2" not in drawn.get("protocolVersions", ("v2",)):
        drawn["protocolVersions"] = ["v2", "grpc-v2"]

    if "canary" not in drawn:
        drawn.pop("shadow", None)
    elif "shadow" not in drawn:
        drawn["canary"]["steps"][0] = {"setWeight": draw.one((1, 10, 100))}


def _analysis(draw: Draw, drawn: Object, fields: Fields) -> None:
    if not drawn.keys() & {"errorRate", "latency", "metric", "predictionDrift"}:
        drawn["errorRate"] = fields["errorRate"](draw)
    if not 0 < float(drawn.get("alpha", "0.05")) <= 0.5:
        drawn["alpha"] = "0.5"


def _at_least(name: str, *texts: str) -> Mend:
    def mend(draw: Draw, drawn: Object, fields: Fields) -> None:
        if name in drawn:
            drawn[name] = draw.one(texts)

    return mend


def _run(draw: Draw, drawn: Object, fields: Fields) -> None:
    if any("datasetGrowth" in each for each in drawn.get("triggers", ())):
        drawn["datasetRef"].pop("version", None)
    if "estimator" not in drawn["trainer"]:
        drawn.pop("search", None)
    elif draw.chance(0.8):
        _can_be_trained(drawn)


def _can_be_trained(drawn: Object) -> None:
    drawn["trainer"]["estimator"] = {"name": "LogisticRegression"}
    for gate in drawn.get("gates", ()):
        gate["metric"] = "roc_auc"
    if "search" in drawn:
        search = {"objective": {"metric": "roc_auc"}, "parameters": [{"name": "C", "values": ["1", "2"]}]}
        drawn["search"] |= search | {"maxTrials": 2}


def _window(draw: Draw, drawn: Object, fields: Fields) -> None:
    drawn["minSamples"] = min(drawn.get("minSamples", 500), drawn.get("maxSamples", 100_000))
    _one_of("duration", "rows")(draw, drawn, fields)
    if "rows" in drawn:
        drawn["rows"] = min(max(drawn["rows"], drawn["minSamples"]), drawn.get("maxSamples", 100_000))


def _check(draw: Draw, drawn: Object, fields: Fields) -> None:
    for name in ("minEffectSize", "minDrop"):
        if drawn.get(name, "0").startswith("-"):
            drawn[name] = "0"
    if not 0 < float(drawn.get("alpha", "0.01")) <= 0.5:
        drawn["alpha"] = "0.5"
    if drawn["type"] == "DataQuality":
        drawn.pop("segments", None)


def _monitor(draw: Draw, drawn: Object, fields: Fields) -> None:
    acts = any(action["do"] != "Hold" for action in drawn.get("actions", [{"do": "Retrain"}]))
    if acts and "trainingRunRef" not in drawn:
        drawn["trainingRunRef"] = fields["trainingRunRef"](draw)


def _label_source(draw: Draw, drawn: Object, fields: Fields) -> None:
    _one_of("feedback", "s3", "http", "datasetRef")(draw, drawn, fields)
    if "datasetRef" not in drawn:
        drawn.pop("joinKeys", None)
        drawn.pop("within", None)


def _label_files(draw: Draw, drawn: Object, fields: Fields) -> None:
    if drawn["format"] == "GroundTruthJSONL":
        drawn.pop("columns", None)


def _earlier(draw: Draw, drawn: Object, fields: Fields) -> None:
    drawn["start"], drawn["end"] = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"


def _labels(draw: Draw, drawn: Object, fields: Fields) -> None:
    for name in ("feedback", "datasetRef"):
        for extra in [each for each in drawn.get("sources", ()) if name in each][1:]:
            drawn["sources"].remove(extra)


def _governance(draw: Draw, drawn: Object, fields: Fields) -> None:
    for name in ("piiInModels", "piiInCaptures"):
        if name in drawn:
            drawn[name] = [each for each in drawn[name] if each in drawn.get("pii", ())]


def _action(draw: Draw, drawn: Object, fields: Fields) -> None:
    if drawn["do"] != "AskForLabels":
        drawn.pop("budget", None)
    if drawn["do"] in ("Rollback", "RollbackAndRebuild"):
        drawn["when"] = draw.one((["PerformanceDrop"], ["ConceptDrift", "PerformanceDrop"]))
    if drawn["do"] == "Recalibrate":
        drawn["when"] = ["ConceptDrift"]


def _access(draw: Draw, drawn: Object, fields: Fields) -> None:
    if drawn.get("access") == "Anonymous":
        drawn.update(clients=[], subjects=[])


def _auth(draw: Draw, drawn: Object, fields: Fields) -> None:
    if not drawn.keys() & {"apiKeys", "jwt"}:
        known = draw.one(("apiKeys", "jwt"))
        drawn[known] = fields[known](draw)
    for access in drawn.get("routes", {}).values():
        for known, listed in (("apiKeys", "clients"), ("jwt", "subjects")):
            if known not in drawn:
                access.pop(listed, None)


MENDS: dict[str, Mend] = {
    "Action": _action,
    "RouteAccess": _access,
    "StageAuth": _auth,
    "Governance": _governance,
    "Source": _one_of("s3", "http", "captured", "sql"),
    "Csv": _csv,
    "DataField": _field,
    "FillNull": _fill,
    "CleanStep": _one_of("deduplicate", "dropNulls", "fillNull", "filter"),
    "DatasetSpec": _dataset,
    "Fractions": _fractions,
    "DatasetRef": _dataset_ref,
    "Trainer": _one_of("estimator", "container", "recalibration"),
    "Gate": _gate,
    "Trigger": _one_of("templateChange", "datasetVersion", "datasetGrowth"),
    "Resources": _resources,
    "LabelRequirement": _requirement,
    "PodSelector": _pod_selector,
    "Toleration": _toleration,
    "Autoscaling": _autoscaling,
    "Stage": _stage,
    "CanaryStep": _one_of("setWeight", "pause", "analysis"),
    "Analysis": _analysis,
    "LatencyCriterion": _at_least("maxRatio", "1", "1.5", "1e2"),
    "MetricCriterion": _at_least("maxLoss", "0", "0.02", "1e12"),
    "TrainingRunSpec": _run,
    "StageGate": _one_of("golden", "latency"),
    "ModelVersionSpec": _one_of("artifact", "source"),
    "Window": _window,
    "LabelSource": _label_source,
    "S3Labels": _label_files,
    "HttpLabels": _label_files,
    "Labels": _labels,
    "EarlierWindow": _earlier,
    "DriftReference": _one_of("trainingData", "datasetRef", "window", "seasonal"),
    "Check": _check,
    "DriftMonitorSpec": _monitor,
}
