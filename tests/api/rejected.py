"""What is refused, and what is said about it: by the API server and by everything that has none, in the same place."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from tests.api.objects import DIGEST, VALID, Object, a_dataset, a_monitor, a_run, a_version, changed


class Rejected(NamedTuple):
    """A wrong object, the field that both must name, and words that both must say."""

    manifest: Object
    field: str
    says: str


def _case(id_: str, manifest: Object, field: str, says: str) -> Any:
    return pytest.param(Rejected(manifest, field, says), id=id_)


def _of_database(**changes: Any) -> Object:
    return changed(VALID["dataset of a database"], changes)


_CRON = "spec.schedule"

# Each rule that has a message of its own; the plain limits (lengths, enums, types) are derived from the schema itself.
RULES = [
    _case(
        "when a circuit is tried again",
        a_monitor(**{"spec.guard.circuitResetAfter": "1 week"}),
        "spec.guard.circuitResetAfter",
        "a duration is numbers with d, h, m or s",
    ),
    _case("no source", a_dataset(**{"spec.source": {}}), "spec.source", "exactly one of spec.source.s3"),
    _case(
        "two sources",
        a_dataset(**{"spec.source.s3": {"uri": "s3://raw/x/"}}),
        "spec.source",
        "exactly one of spec.source.s3, spec.source.http, spec.source.captured, spec.source.sql must be set",
    ),
    _case(
        "retention of nothing",
        a_dataset(**{"spec.retention": {}}),
        "spec.retention",
        "keepVersions or maxAge must be set: without spec.retention every version stays",
    ),
    _case(
        "age of events without their time",
        a_dataset(
            **{
                "spec.fields": [{"name": "price", "type": "float64"}],
                "spec.source": {"s3": {"uri": "s3://raw/x/"}},
                "spec.split.strategy": "random",
                "spec.clean": [],
                "spec.governance": {},
                "spec.freshness": {"maxAge": "26h", "measure": "EventTime"},
            }
        ),
        "spec",
        "spec.freshness.measure EventTime needs a field of role timestamp",
    ),
    _case(
        "age of a delivery that a database does not date",
        _of_database(**{"spec.freshness": {"maxAge": "26h", "measure": "Delivery"}}),
        "spec",
        "spec.freshness.measure Delivery is for sources that date what they deliver, and sql and http do not: say "
        "measure: EventTime",
    ),
    _case(
        "age by default of what a web server does not date",
        a_dataset(
            **{
                "spec.source": {"http": {"url": "https://data.example/rain.csv", "sha256": "0" * 64}},
                "spec.freshness": {"maxAge": "26h"},
            }
        ),
        "spec",
        "spec.freshness.measure Delivery is for sources that date what they deliver",
    ),
    _case("min of a text", a_dataset(**{"spec.fields.3.min": "1"}), "spec.fields[3]", "min and max are for fields"),
    _case(
        "min above max", a_dataset(**{"spec.fields.2.min": "2"}), "spec.fields[2]", "min must not be greater than max"
    ),
    _case(
        "enum of a number", a_dataset(**{"spec.fields.2.enum": ["1"]}), "spec.fields[2]", "enum is for fields of type"
    ),
    _case(
        "timestamp that is a text",
        a_dataset(**{"spec.fields.1.type": "string"}),
        "spec.fields[1]",
        "a field of role timestamp must have type timestamp",
    ),
    _case(
        "column and position",
        a_dataset(**{"spec.fields.1.position": 2}),
        "spec.fields[1]",
        "column and position cannot both be set",
    ),
    _case(
        "formats of a text",
        a_dataset(**{"spec.fields.3.formats": ["%Y-%m-%d"]}),
        "spec.fields[3]",
        "formats and timeZone are for fields of type timestamp",
    ),
    _case(
        "a change of clocks without a zone",
        a_dataset(**{"spec.fields.1.timeZone": None}),
        "spec.fields[1]",
        "ambiguousTimes and nonexistentTimes need a timeZone",
    ),
    _case(
        "a format without a year",
        a_dataset(**{"spec.fields.1.formats": ["%d.%m."]}),
        "spec.fields[1]",
        "each of formats needs a year",
    ),
    _case(
        "a format with an unknown word",
        a_dataset(**{"spec.fields.1.formats": ["%Y-%m-%d %c"]}),
        "spec.fields[1].formats[0]",
        "a format has text and the words",
    ),
    _case(
        "a column's name with NUL",
        a_dataset(**{"spec.fields.1.column": "a\x00b"}),
        "spec.fields[1].column",
        "a column's name as it stands in the delivery",
    ),
    _case(
        "a symbol with a digit",
        a_dataset(**{"spec.fields.2.symbols": ["1"]}),
        "spec.fields[2].symbols[0]",
        "a sign such as $, EUR or %",
    ),
    _case(
        "symbols of a text",
        a_dataset(**{"spec.fields.3.symbols": ["%"]}),
        "spec.fields[3]",
        "symbols are for fields of type float64 or int64",
    ),
    _case(
        "a delimiter of NUL",
        a_dataset(**{"spec.csv.delimiter": "\x00"}),
        "spec.csv.delimiter",
        "1 to 8 characters, without NUL",
    ),
    _case(
        "a decimal sign of none", a_dataset(**{"spec.csv.decimal": ""}), "spec.csv.decimal", "one character, other than"
    ),
    _case(
        "a quote of NUL",
        a_dataset(**{"spec.csv.quote": "\x00"}),
        "spec.csv.quote",
        "one character of ASCII, other than NUL, or empty",
    ),
    _case(
        "an end of rows of none",
        a_dataset(**{"spec.csv.rowDelimiter": ""}),
        "spec.csv.rowDelimiter",
        "one or two characters, such as",
    ),
    _case(
        "thousands as decimal",
        a_dataset(**{"spec.csv.thousands": ","}),
        "spec.csv",
        "spec.csv.thousands and spec.csv.decimal must differ",
    ),
    _case(
        "quote as delimiter",
        a_dataset(**{"spec.csv.quote": ";"}),
        "spec.csv",
        "spec.csv.quote and spec.csv.delimiter must differ",
    ),
    _case(
        "escape as delimiter",
        a_dataset(**{"spec.csv.escape": ";"}),
        "spec.csv",
        "spec.csv.escape and spec.csv.delimiter must differ",
    ),
    _case(
        "true without false",
        a_dataset(**{"spec.csv.falseValues": []}),
        "spec.csv",
        "spec.csv.trueValues and spec.csv.falseValues must be set together",
    ),
    _case(
        "true and false alike",
        a_dataset(**{"spec.csv.falseValues": ["ja"]}),
        "spec.csv",
        "a text cannot be in spec.csv.trueValues and in spec.csv.falseValues",
    ),
    _case(
        "dialect of Parquet",
        a_dataset(**{"spec.format": "parquet", "spec.fields.2.position": None}),
        "spec",
        "spec.csv is for spec.format csv",
    ),
    _case(
        "records of CSV", a_dataset(**{"spec.json": {"records": "data"}}), "spec", "spec.json is for spec.format json"
    ),
    _case(
        "sheet of CSV", a_dataset(**{"spec.excel": {"sheet": "Data"}}), "spec", "spec.excel is for spec.format excel"
    ),
    _case(
        "path with an empty key",
        a_dataset(**{"spec.json": {"records": "data..items"}}),
        "spec.json.records",
        "keys with points between, such as data.items",
    ),
    _case(
        "sheet with a slash",
        a_dataset(**{"spec.excel": {"sheet": "a/b"}}),
        "spec.excel.sheet",
        "a sheet's name as Excel allows it",
    ),
    _case(
        "range of a column",
        a_dataset(**{"spec.excel": {"range": "A:F"}}),
        "spec.excel.range",
        "a cell or two corners, such as B3 or B3:F200",
    ),
    _case(
        "position in Parquet",
        a_dataset(**{"spec.format": "parquet", "spec.csv": None}),
        "spec",
        "spec.fields[].position is for spec.format csv",
    ),
    _case(
        "no header and no positions",
        a_dataset(**{"spec.csv.header": 0}),
        "spec",
        "with spec.csv.header 0 every one of spec.fields needs its position",
    ),
    _case(
        "ragged rows put aside where nothing is",
        a_dataset(**{"spec.validation.onFailure": "Reject"}),
        "spec",
        "spec.csv.ragged Quarantine needs spec.validation.onFailure Quarantine",
    ),
    _case(
        "personal field of models that is not personal",
        a_dataset(**{"spec.governance.piiInModels": ["price"]}),
        "spec.governance",
        "spec.governance.piiInModels must name fields of spec.governance.pii",
    ),
    _case(
        "personal field of captures that is not personal",
        a_dataset(**{"spec.governance.piiInCaptures": ["price"]}),
        "spec.governance",
        "spec.governance.piiInCaptures must name fields of spec.governance.pii",
    ),
    _case(
        "fill with two values",
        a_dataset(**{"spec.clean.2.fillNull.strategy": "mean"}),
        "spec.clean[2].fillNull",
        "exactly one of fillNull.value, fillNull.strategy must be set",
    ),
    _case(
        "clean step of two",
        a_dataset(**{"spec.clean.5.dropNulls": ["price"]}),
        "spec.clean[5]",
        "exactly one of spec.clean[].deduplicate",
    ),
    _case(
        "mean by entity",
        a_dataset(**{"spec.clean.3.fillNull.by": ["id"]}),
        "spec.clean[3].fillNull",
        "fillNull.by is for strategy forward",
    ),
    _case(
        "positive class of a feature",
        a_dataset(**{"spec.fields.0.positiveClass": "a"}),
        "spec.fields[0]",
        "positiveClass is for the label, of type string, int64 or boolean",
    ),
    _case(
        "positive class that no row may have",
        a_dataset(**{"spec.fields.3.positiveClass": "SIDEWAYS"}),
        "spec.fields[3]",
        "positiveClass must be one of enum",
    ),
    _case(
        "fractions of 1.1",
        a_dataset(**{"spec.split.fractions.train": "0.7"}),
        "spec.split.fractions",
        "train, validation and test must add up to 1",
    ),
    _case(
        "nothing to train on",
        a_dataset(**{"spec.split.fractions": {"train": "0", "validation": "0.5", "test": "0.5"}}),
        "spec.split.fractions",
        "train must be greater than 0",
    ),
    _case("two labels", a_dataset(**{"spec.fields.2.role": "label"}), "spec", "more than one field of role label"),
    _case(
        "two times",
        a_dataset(**{"spec.fields.2": {"name": "late", "type": "timestamp", "role": "timestamp"}}),
        "spec",
        "more than one field of role timestamp",
    ),
    _case(
        "time split without time",
        a_dataset(**{"spec.fields.1.role": "feature", "spec.source": {"s3": {"uri": "s3://raw/x/"}}}),
        "spec",
        "spec.split.strategy time needs a field of role timestamp",
    ),
    _case(
        "hash split without key",
        a_dataset(**{"spec.fields.0.role": "feature", "spec.split.strategy": "hash"}),
        "spec",
        "spec.split.strategy hash needs a field of role entityKey",
    ),
    _case(
        "captures without time",
        a_dataset(**{"spec.fields.1.role": "feature", "spec.split.strategy": "random"}),
        "spec",
        "spec.source.captured needs a field of role timestamp",
    ),
    *(
        _case(f"uri {uri}", a_dataset(**{"spec.source": {"s3": {"uri": uri}}}), "spec.source.s3.uri", "s3://bucket/key")
        for uri in (
            "file:///etc/passwd",
            "gopher://raw/x",
            "ftp://raw/x",
            "data:text/plain,1",
            "s3://raw/../other/x",
            "s3://raw//x",
            "s3://raw/a\\b",
            "s3://raw/%2e%2e/x",
            "s3://RAW/x",
            "s3://raw",
        )
    ),
    *(
        _case(
            f"secret {name}",
            a_dataset(**{"spec.source": {"s3": {"uri": "s3://raw/x/", "secretRef": {"name": name}}}}),
            "spec.source.s3.secretRef.name",
            "the name of an object has lower-case letters, digits, - and .",
        )
        for name in ("Vendor", "team/vendor", "vendor-", ".vendor", "a..b", "", "a b")
    ),
    *(
        _case(
            f"url {url}",
            a_dataset(**{"spec.source": {"http": {"url": url, "sha256": "ab" * 32}}}),
            "spec.source.http.url",
            "an http or https URL without user information",
        )
        for url in (
            "file:///etc/passwd",
            "https://user@example.com/x",
            "https:/example.com",
            "https://a b/",
            "ftp://x/y",
        )
    ),
    _case(
        "upper-case sha256",
        a_dataset(**{"spec.source": {"http": {"url": "https://example.com/x", "sha256": "AB" * 32}}}),
        "spec.source.http.sha256",
        "64 lower-case hex digits",
    ),
    _case(
        "database of another engine",
        _of_database(**{"spec.source.sql.engine": "oracle"}),
        "spec.source.sql.engine",
        "postgresql",
    ),
    _case("no query", _of_database(**{"spec.source.sql.query": " \n"}), "spec.source.sql.query", "one SELECT"),
    _case(
        "database and a format of files",
        _of_database(**{"spec.format": "jsonl"}),
        "spec",
        "spec.format is for files: leave it out with spec.source.sql",
    ),
    *(
        _case(
            f"watermark that is {name}",
            _of_database(**changes),
            "spec",
            "spec.source.sql.incremental.column must be read by a field of type int64 or timestamp",
        )
        for name, changes in {
            "of no field": {"spec.source.sql.incremental": {"column": "updated"}},
            "text": {"spec.source.sql.incremental": {"column": "id"}},
            "a float": {"spec.source.sql.incremental": {"column": "price"}},
            "nullable": {"spec.fields.1.nullable": True},
            "on the clock of a zone": {"spec.fields.1.timeZone": "Europe/Berlin"},
            "called by its field": {"spec.source.sql.incremental": {"column": "at"}},
        }.items()
    ),
    _case(
        "field with a space", a_dataset(**{"spec.fields.2.name": "a b"}), "spec.fields[2].name", "a column's name has"
    ),
    _case(
        "min that is no number", a_dataset(**{"spec.fields.2.min": "low"}), "spec.fields[2].min", "a number written as"
    ),
    _case(
        "expression with NUL", a_dataset(**{"spec.clean.5.filter": "a\nb"}), "spec.clean[5].filter", "a SQL expression"
    ),
    _case(
        "rule named in capitals",
        a_dataset(**{"spec.validation.rules.0.name": "Cheap"}),
        "spec.validation.rules[0].name",
        "a name has lower-case letters, digits and -",
    ),
    _case(
        "fraction of 2",
        a_dataset(**{"spec.split.fractions.test": "2"}),
        "spec.split.fractions.test",
        "a number from 0 to 1 written as text",
    ),
    _case(
        "window in words",
        a_dataset(**{"spec.source.captured.window": "5 minutes"}),
        "spec.source.captured.window",
        "a duration is numbers with d, h, m or s",
    ),
    _case(
        "time zone with a space",
        a_dataset(**{"spec.refresh.timeZone": "Berlin time"}),
        "spec.refresh.timeZone",
        "a name of the time zone database",
    ),
    _case(
        "model that is no DNS name",
        a_dataset(**{"spec.source.captured.modelName": "1model"}),
        "spec.source.captured.modelName",
        "a Service is named after it",
    ),
    _case("four cron fields", a_monitor(**{_CRON: "* * * *"}), _CRON, "a cron line has five fields"),
    _case("six cron fields", a_monitor(**{_CRON: "0 0 * * * *"}), _CRON, "a cron line has five fields"),
    _case("cron macro", a_monitor(**{_CRON: "@hourly"}), _CRON, "a cron line has five fields"),
    _case(
        "minute 61", a_monitor(**{_CRON: "61 * * * *"}), _CRON, "the minute (field 1 of the cron line) must be 0 to 59"
    ),
    _case("hour 24", a_monitor(**{_CRON: "0 24 * * *"}), _CRON, "the hour (field 2 of the cron line) must be 0 to 23"),
    _case("day 32", a_monitor(**{_CRON: "0 0 32 * *"}), _CRON, "the day of month (field 3 of the cron line) must be 1"),
    _case(
        "month 13", a_monitor(**{_CRON: "0 0 1 13 *"}), _CRON, "the month (field 4 of the cron line) must be 1 to 12"
    ),
    _case(
        "weekday 8", a_monitor(**{_CRON: "0 0 * * 8"}), _CRON, "the day of week (field 5 of the cron line) must be 0"
    ),
    _case(
        "version and notBefore",
        a_run(**{"spec.datasetRef.notBefore": "2026-01-31T12:00:00Z"}),
        "spec.datasetRef",
        "version and notBefore exclude each other",
    ),
    _case(
        "since that is no timestamp",
        a_run(**{"spec.datasetRef.since": "yesterday"}),
        "spec.datasetRef.since",
        "a timestamp in UTC such as",
    ),
    _case("dataset name with a dot", a_run(**{"spec.datasetRef.name": "a.b"}), "spec.datasetRef.name", "a name has"),
    _case(
        "no trainer", a_run(**{"spec.trainer": {}, "spec.search": None}), "spec.trainer", "exactly one of spec.trainer"
    ),
    _case(
        "estimator with a dot",
        a_run(**{"spec.trainer.estimator.name": "os.system"}),
        "spec.trainer.estimator.name",
        "the class name of an estimator",
    ),
    _case(
        "parameter with a space",
        a_run(**{"spec.trainer.estimator.params": {"learning rate": "1"}}),
        "spec.trainer.estimator.params",
        "a parameter's name has letters, digits and _",
    ),
    _case(
        "search name with a space",
        a_run(**{"spec.search.parameters.0.name": "learning rate"}),
        "spec.search.parameters[0].name",
        "a parameter's name has letters, digits and _",
    ),
    _case(
        "metric in capitals",
        a_run(**{"spec.gates.0.metric": "ROC-AUC"}),
        "spec.gates[0].metric",
        "a metric's name has lower-case letters",
    ),
    _case(
        "reserved variable",
        a_run(
            **{
                "spec.search": None,
                "spec.trainer": {
                    "container": {"image": "a:1", "command": ["x"], "env": [{"name": "MLOPS_TASK", "value": "x"}]}
                },
            }
        ),
        "spec.trainer.container.env[0]",
        "names that begin with MLOPS_ are the operator's",
    ),
    _case(
        "variable with a dash",
        a_run(
            **{
                "spec.search": None,
                "spec.trainer": {
                    "container": {"image": "a:1", "command": ["x"], "env": [{"name": "A-B", "value": "x"}]}
                },
            }
        ),
        "spec.trainer.container.env[0].name",
        "a variable's name has letters, digits and _",
    ),
    _case(
        "image with a space",
        a_run(**{"spec.search": None, "spec.trainer": {"container": {"image": "a b", "command": ["x"]}}}),
        "spec.trainer.container.image",
        "an image reference",
    ),
    _case(
        "gate without a limit",
        a_run(**{"spec.gates.0": {"metric": "roc_auc"}}),
        "spec.gates[0]",
        "a gate needs at least one of min, max, compareTo",
    ),
    _case(
        "gate min above max",
        a_run(**{"spec.gates.0.min": "0.995"}),
        "spec.gates[0]",
        "min must not be greater than max",
    ),
    _case(
        "two costs of one pair of classes",
        a_run(**{"spec.costs.1": {"actual": "UP", "predicted": "DOWN", "cost": "3"}}),
        "spec",
        "spec.costs names a pair of actual and predicted twice: leave one of the two out",
    ),
    _case(
        "cost beyond what sums hold",
        a_run(**{"spec.costs.1.cost": "-2e12"}),
        "spec.costs[1]",
        "cost must be from -1e12 to 1e12: count in a larger unit",
    ),
    _case(
        "search of own code",
        a_run(**{"spec.trainer": {"container": {"image": "a:1", "command": ["x"]}}}),
        "spec",
        "spec.search needs spec.trainer.estimator",
    ),
    _case(
        "trigger of nothing",
        a_run(**{"spec.triggers": [{}]}),
        "spec.triggers[0]",
        "exactly one of spec.triggers[].templateChange",
    ),
    _case(
        "growth of one version",
        a_run(**{"spec.datasetRef.version": 3, "spec.triggers": [{"datasetGrowth": {"percent": 50}}]}),
        "spec",
        "spec.triggers[].datasetGrowth needs spec.datasetRef without version: one version does not grow",
    ),
    _case(
        "memory request above limit",
        a_run(**{"spec.resources.requests.memory": "3Gi"}),
        "spec.resources",
        "requests.memory must not exceed limits.memory",
    ),
    _case(
        "cpu request above limit",
        a_run(**{"spec.resources.requests.cpu": "2500m"}),
        "spec.resources",
        "requests.cpu must not exceed limits.cpu",
    ),
    *(
        _case(
            f"quantity {quantity}",
            a_run(**{"spec.resources.limits.memory": quantity}),
            "spec.resources.limits",
            "must match a number with m, k, M",
        )
        for quantity in ("1GBi", "1.5.Gi", "-1Gi", "lots")
    ),
    _case(
        "server's memory request above its limit",
        a_version(**{"spec.promotion.stages.0.resources.requests.memory": "9Gi"}),
        "spec.promotion.stages[0].resources",
        "requests.memory must not exceed limits.memory",
    ),
    _case(
        "server's quantity",
        a_version(**{"spec.promotion.stages.0.resources.limits.cpu": "two"}),
        "spec.promotion.stages[0].resources.limits",
        "must match a number with m, k, M",
    ),
    _case(
        "server of a fixed and of any number of pods",
        a_version(**{"spec.promotion.stages.2.replicas": 2}),
        "spec.promotion.stages[2]",
        "replicas and autoscaling exclude each other: autoscaling.minReplicas says how many",
    ),
    _case(
        "server without HTTP",
        a_version(**{"spec.promotion.stages.2.protocolVersions": ["grpc-v2"]}),
        "spec.promotion.stages[2]",
        "protocolVersions must name v2: probes and metrics go over HTTP; grpc-v2 comes beside it",
    ),
    _case(
        "autoscaling by nothing",
        a_version(**{"spec.promotion.stages.2.autoscaling": {"maxReplicas": 3}}),
        "spec.promotion.stages[2].autoscaling",
        "needs maxReplicas and exactly one of targetCPUUtilization, targetConcurrency",
    ),
    _case(
        "autoscaling by two",
        a_version(**{"spec.promotion.stages.2.autoscaling.targetConcurrency": 3}),
        "spec.promotion.stages[2].autoscaling",
        "needs maxReplicas and exactly one of targetCPUUtilization, targetConcurrency",
    ),
    _case(
        "autoscaling without a bound",
        a_version(**{"spec.promotion.stages.2.autoscaling.maxReplicas": None}),
        "spec.promotion.stages[2].autoscaling",
        "needs maxReplicas and exactly one of targetCPUUtilization, targetConcurrency",
    ),
    _case(
        "autoscaling to none",
        a_version(**{"spec.promotion.stages.2.autoscaling.minReplicas": 0}),
        "spec.promotion.stages[2].autoscaling",
        "minReplicas 0 needs autoscalerClass External",
    ),
    _case(
        "autoscaling from above its bound",
        a_version(**{"spec.promotion.stages.2.autoscaling.minReplicas": 6}),
        "spec.promotion.stages[2].autoscaling",
        "minReplicas must not exceed maxReplicas",
    ),
    _case(
        "bounds of another's autoscaling",
        a_version(**{"spec.promotion.stages.4.autoscaling.maxReplicas": 6}),
        "spec.promotion.stages[4].autoscaling",
        "maxReplicas and targets stand in what scales the pods: leave them out",
    ),
    _case(
        "auth by nothing",
        a_version(**{"spec.promotion.stages.1.auth": {"routes": {}}}),
        "spec.promotion.stages[1].auth",
        "auth needs apiKeys, jwt or both",
    ),
    _case(
        "clients without their keys",
        a_version(**{"spec.promotion.stages.1.auth.apiKeys": None}),
        "spec.promotion.stages[1].auth",
        "routes name clients, which are names of apiKeys",
    ),
    _case(
        "subjects without their tokens",
        a_version(**{"spec.promotion.stages.1.auth.jwt": None}),
        "spec.promotion.stages[1].auth",
        "routes name subjects, which are those of tokens",
    ),
    _case(
        "clients where everybody may",
        a_version(**{"spec.promotion.stages.1.auth.routes.metrics.access": "Anonymous"}),
        "spec.promotion.stages[1].auth.routes.metrics",
        "access Anonymous lets everybody in",
    ),
    _case(
        "a client that is no key of a Secret",
        a_version(**{"spec.promotion.stages.1.auth.routes.infer.clients": ["team/batch"]}),
        "spec.promotion.stages[1].auth.routes.infer.clients[0]",
        "a client is named by a key of the Secret",
    ),
    _case(
        "an issuer with a space",
        a_version(**{"spec.promotion.stages.1.auth.jwt.issuer": "the issuer"}),
        "spec.promotion.stages[1].auth.jwt.issuer",
        "printable ASCII without spaces",
    ),
    _case(
        "half a device",
        a_run(**{"spec.resources": {"limits": {"nvidia.com/gpu": "0.5"}}}),
        "spec.resources",
        'an amount of devices is a whole number, such as "1"',
    ),
    _case(
        "a device requested and limited otherwise",
        a_run(**{"spec.resources": {"requests": {"nvidia.com/gpu": "1"}, "limits": {"nvidia.com/gpu": "2"}}}),
        "spec.resources",
        "requests and limits of a device must be equal: give its limits only",
    ),
    _case(
        "a resource that nobody offers",
        a_run(**{"spec.resources": {"limits": {"gpus": "1"}}}),
        "spec.resources.limits",
        "a resource is cpu, memory or one that a device plug-in offers, such as nvidia.com/gpu",
    ),
    *(
        _case(
            f"the operator's label {key}",
            a_monitor(**{"spec.podTemplate": {"labels": {key: "x"}}}),
            "spec.podTemplate",
            "labels of mlops.dev, kubernetes.io and k8s.io, and those that Kubernetes itself sets, cannot be set",
        )
        for key in (
            "mlops.dev/stage",
            "app.kubernetes.io/component",
            "batch.kubernetes.io/job-name",
            "node.k8s.io/x",
            "pod-template-hash",
            "job-name",
        )
    ),
    _case(
        "the operator's annotation",
        a_dataset(**{"spec.podTemplate": {"annotations": {"mlops.dev/artifact": "x"}}}),
        "spec.podTemplate",
        "annotations of mlops.dev are the operator's",
    ),
    _case(
        "no label's key",
        a_dataset(**{"spec.podTemplate": {"nodeSelector": {"-pool": "x"}}}),
        "spec.podTemplate.nodeSelector",
        "a key is a name of at most 63 letters, digits, -, _ and .",
    ),
    _case(
        "no label's value",
        a_dataset(**{"spec.podTemplate": {"nodeSelector": {"pool": "a b"}}}),
        "spec.podTemplate.nodeSelector",
        "the value of a label has at most 63 letters, digits, -, _ and .",
    ),
    _case(
        "the operator's variable in a pod",
        a_dataset(**{"spec.podTemplate": {"env": [{"name": "MLOPS_STORE", "value": "x"}]}}),
        "spec.podTemplate.env[0]",
        "names that begin with MLOPS_ are the operator's",
    ),
    *(
        _case(id_, a_dataset(**{"spec.podTemplate": {"tolerations": [wrong]}}), "spec.podTemplate.tolerations[0]", says)
        for id_, wrong, says in (
            ("toleration of nothing", {}, "a toleration without a key needs the operator Exists"),
            (
                "toleration of any value and of one",
                {"key": "gpu", "operator": "Exists", "value": "x"},
                "a toleration with the operator Exists has no value",
            ),
            (
                "toleration for a while of no end",
                {"key": "gpu", "tolerationSeconds": 5},
                "tolerationSeconds needs the effect NoExecute",
            ),
        )
    ),
    *(
        _case(
            f"requirement {operator} of {len(values)}",
            a_dataset(
                **{
                    "spec.podTemplate.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [
                            {"matchExpressions": [{"key": "pool", "operator": operator, "values": values}]}
                        ]
                    }
                }
            ),
            "spec.podTemplate.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"
            ".nodeSelectorTerms[0].matchExpressions[0]",
            "In and NotIn need at least one, Gt and Lt one whole number, Exists and DoesNotExist none",
        )
        for operator, values in (("In", []), ("Exists", ["x"]), ("Gt", ["x"]), ("Lt", ["1", "2"]))
    ),
    _case(
        "pods by number",
        a_dataset(
            **{
                "spec.podTemplate.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "topologyKey": "zone",
                        "labelSelector": {"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]},
                    }
                ]
            }
        ),
        "spec.podTemplate.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector",
        "matchExpressions of pods know In, NotIn, Exists and DoesNotExist",
    ),
    _case(
        "stage gate of two",
        a_version(**{"spec.promotion.stages.0.gates": [{"golden": {}, "latency": {"p99Milliseconds": 5}}]}),
        "spec.promotion.stages[0].gates[0]",
        "exactly one of gates[].golden, gates[].latency must be set",
    ),
    _case(
        "shadow without a canary",
        a_version(**{"spec.promotion.stages.1.canary": None}),
        "spec.promotion.stages[1]",
        "shadow needs canary: it lasts as long as that",
    ),
    _case(
        "analysis of who was asked nothing",
        a_version(
            **{
                "spec.promotion.stages.1.shadow": None,
                "spec.promotion.stages.1.canary.steps": [
                    {"setWeight": 0},
                    {"analysis": {"errorRate": {}}},
                    {"setWeight": 10},
                ],
            }
        ),
        "spec.promotion.stages[1]",
        "canary.steps: an analysis comes after a step with setWeight above 0, or beside shadow",
    ),
    _case(
        "step of a canary that does two things",
        a_version(**{"spec.promotion.stages.1.canary.steps.0.pause": "1h"}),
        "spec.promotion.stages[1].canary.steps[0]",
        "exactly one of steps[].setWeight, steps[].pause, steps[].analysis must be set",
    ),
    _case(
        "analysis of nothing",
        a_version(**{"spec.promotion.stages.1.canary.steps.2.analysis": {"alpha": "0.1"}}),
        "spec.promotion.stages[1].canary.steps[2].analysis",
        "an analysis names at least one of errorRate, latency, metric, predictionDrift",
    ),
    _case(
        "analysis that is never wrong",
        a_version(**{"spec.promotion.stages.1.canary.steps.2.analysis.alpha": "0"}),
        "spec.promotion.stages[1].canary.steps[2].analysis",
        "alpha must be greater than 0 and at most 0.5",
    ),
    _case(
        "candidate that has to be faster",
        a_version(**{"spec.promotion.stages.1.canary.steps.2.analysis.latency.maxRatio": "0.5"}),
        "spec.promotion.stages[1].canary.steps[2].analysis.latency",
        "maxRatio must be from 1, as fast as the version that serves, to 1000",
    ),
    _case(
        "candidate that has to be better",
        a_version(**{"spec.promotion.stages.1.canary.steps.2.analysis.metric.maxLoss": "-0.1"}),
        "spec.promotion.stages[1].canary.steps[2].analysis.metric",
        "maxLoss must be from 0 to 1e12",
    ),
    _case(
        "header with a colon",
        a_version(**{"spec.promotion.stages.1.canary.stickyHeader": "X-User:"}),
        "spec.promotion.stages[1].canary.stickyHeader",
        "the name of a header has letters, digits and -",
    ),
    _case(
        "approval of nobody",
        a_version(**{"spec.promotion.stages.1.approval.group": " "}),
        "spec.promotion.stages[1].approval.group",
        "the name of a user or a group begins and ends with no space, and has no control characters",
    ),
    _case("no artifact", a_version(**{"spec.artifact": None}), "spec", "exactly one of spec.artifact, spec.source"),
    *(
        _case(
            f"digest {digest[:12]}",
            a_version(**{"spec.artifact.digest": digest}),
            "spec.artifact.digest",
            "a digest is sha256: and 64 lower-case hex digits",
        )
        for digest in ("sha256:xyz", DIGEST.upper(), "md5:" + "0a" * 16, "")
    ),
    _case(
        "samples min above max",
        a_monitor(**{"spec.window.minSamples": 5000}),
        "spec.window",
        "minSamples must not be greater than maxSamples",
    ),
    _case(
        "negative effect",
        a_monitor(**{"spec.checks.0.minEffectSize": "-0.1"}),
        "spec.checks[0]",
        "minEffectSize must be at least 0",
    ),
    _case(
        "negative drop", a_monitor(**{"spec.checks.1.minDrop": "-1"}), "spec.checks[1]", "minDrop must be at least 0"
    ),
    _case("alpha of 0", a_monitor(**{"spec.checks.0.alpha": "0"}), "spec.checks[0]", "alpha must be greater than 0"),
    _case(
        "alpha of 0.6", a_monitor(**{"spec.checks.0.alpha": "0.6"}), "spec.checks[0]", "alpha must be greater than 0"
    ),
    _case(
        "two places of labels in one source",
        a_monitor(**{"spec.labels.sources.0": {"feedback": {}, "datasetRef": {"name": "rain"}}}),
        "spec.labels.sources[0]",
        "exactly one of spec.labels.sources[].feedback, spec.labels.sources[].s3, spec.labels.sources[].http, "
        "spec.labels.sources[].datasetRef must be set",
    ),
    _case(
        "join keys of feedback",
        a_monitor(**{"spec.labels.sources.0": {"feedback": {}, "joinKeys": ["station"]}}),
        "spec.labels.sources[0]",
        "joinKeys and within are for datasetRef",
    ),
    _case(
        "labels of two Datasets",
        a_monitor(**{"spec.labels.sources.0": {"datasetRef": {"name": "rain"}}}),
        "spec.labels",
        "spec.labels.sources has more than one datasetRef: keep one",
    ),
    _case(
        "feedback twice",
        a_monitor(**{"spec.labels.sources.3": {"feedback": {}}}),
        "spec.labels",
        "spec.labels.sources has feedback more than once: keep one",
    ),
    _case(
        "columns of ground truth",
        a_monitor(**{"spec.labels.sources.1.s3.format": "GroundTruthJSONL"}),
        "spec.labels.sources[1].s3",
        "columns is for format parquet or csv: GroundTruthJSONL says itself where things stand",
    ),
    _case(
        "a window by time and by count",
        a_monitor(**{"spec.window.rows": 800}),
        "spec.window",
        "exactly one of spec.window.duration, spec.window.rows must be set",
    ),
    _case(
        "fewer rows than minSamples",
        a_monitor(**{"spec.window": {"rows": 400}}),
        "spec.window",
        "rows must be at least minSamples and at most maxSamples",
    ),
    _case(
        "segments of broken deliveries",
        a_monitor(**{"spec.checks.0.type": "DataQuality"}),
        "spec.checks[0]",
        "segments are not for DataQuality: a broken delivery is looked for in all rows",
    ),
    _case(
        "two references",
        a_monitor(**{"spec.reference.trainingData": {}}),
        "spec.reference",
        "exactly one of spec.reference.trainingData, spec.reference.datasetRef, spec.reference.window, "
        "spec.reference.seasonal must be set",
    ),
    _case(
        "a reference that ends before it begins",
        a_monitor(**{"spec.reference": {"window": {"start": "2026-02-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"}}}),
        "spec.reference.window",
        "start must be before end",
    ),
    _case(
        "retrain of nothing",
        a_monitor(**{"spec.trainingRunRef": None}),
        "spec",
        "spec.actions with Retrain, Rebuild or Recalibrate (the default) need spec.trainingRunRef",
    ),
    _case(
        "retrain by default of nothing",
        a_monitor(**{"spec.trainingRunRef": None, "spec.actions": None}),
        "spec",
        "spec.actions with Retrain, Rebuild or Recalibrate (the default) need spec.trainingRunRef",
    ),
    _case(
        "rebuild after a rollback of nothing",
        a_monitor(
            **{"spec.trainingRunRef": None, "spec.actions": [{"when": ["ConceptDrift"], "do": "RollbackAndRebuild"}]}
        ),
        "spec",
        "spec.actions with Retrain, Rebuild or Recalibrate (the default) need spec.trainingRunRef",
    ),
    _case(
        "rollback without labels",
        a_monitor(**{"spec.actions.3.when": ["PerformanceDrop", "DataDrift"]}),
        "spec.actions[3]",
        "do: Rollback and RollbackAndRebuild take when: [PerformanceDrop, ConceptDrift] only",
    ),
    _case(
        "recalibration of what no check has told apart",
        a_monitor(**{"spec.actions.0.do": "Recalibrate"}),
        "spec.actions[0]",
        "do: Recalibrate takes when: [ConceptDrift] only",
    ),
    _case(
        "budget of a retrain",
        a_monitor(**{"spec.actions.0.budget": 5}),
        "spec.actions[0]",
        "budget is of do: AskForLabels only",
    ),
    _case("name of 53", a_dataset(**{"metadata.name": "a" * 53}), "", "metadata.name must have at most 52 characters"),
    _case("name with a dot", a_version(**{"metadata.name": "rain.v1"}), "", "metadata.name must have no dot"),
]


class Forbidden(NamedTuple):
    """A valid object that must not become another valid object."""

    before: Object
    after: Object
    says: str


UPDATES = [
    pytest.param(
        Forbidden(a_run(), a_run(**{"spec.reproducibility.seed": 43}), "spec of a run is immutable except suspend"),
        id="seed of a run",
    ),
    pytest.param(
        Forbidden(a_run(), a_run(**{"spec.search": None}), "spec of a run is immutable except suspend"),
        id="search of a run taken away",
    ),
    pytest.param(
        Forbidden(
            a_run(),
            a_run(**{"spec.triggers": [{"templateChange": {}}]}),
            "spec.triggers cannot turn a run into a template or back",
        ),
        id="run into template",
    ),
    pytest.param(
        Forbidden(
            a_version(),
            a_version(**{"spec.artifact.digest": "sha256:" + "0b" * 32}),
            "spec.modelName, version, artifact, source and lineage are immutable",
        ),
        id="artifact of a version",
    ),
    pytest.param(
        Forbidden(
            a_version(),
            a_version(**{"spec.lineage": None}),
            "spec.modelName, version, artifact, source and lineage are immutable",
        ),
        id="lineage of a version taken away",
    ),
]
ALLOWED_UPDATES = [
    pytest.param(a_run(), a_run(**{"spec.suspend": True}), id="suspend a run"),
    pytest.param(
        a_run(**{"spec.triggers": [{"templateChange": {}}]}),
        a_run(**{"spec.triggers": [{"datasetVersion": {}}], "spec.reproducibility.seed": 43}),
        id="edit a template",
    ),
    pytest.param(a_version(), a_version(**{"spec.withdrawn": True}), id="withdraw a version"),
    pytest.param(a_version(), a_version(**{"spec.capture.percent": 5}), id="capture less"),
]
