"""One full, valid object of each kind and variant: every field of every spec stands in one of them."""

from __future__ import annotations

import copy
from typing import Any

API = "mlops.dev/v1alpha1"
DIGEST = "sha256:" + "0a" * 32
Object = dict[str, Any]


def _object(kind: str, spec: Object) -> Object:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": "electricity", "namespace": "default"}, "spec": spec}


_FIELDS = [
    {"name": "id", "type": "string", "role": "entityKey"},
    {
        "name": "at",
        "type": "timestamp",
        "role": "timestamp",
        "nullable": False,
        "column": "Date / time (local)",
        "formats": ["%d.%m.%Y %H:%M", "%s"],
        "timeZone": "Europe/Berlin",
        "ambiguousTimes": "Latest",
        "nonexistentTimes": "Shift",
    },
    {
        "name": "price",
        "type": "float64",
        "role": "feature",
        "nullable": True,
        "min": "0",
        "max": "1.5",
        "unit": "EUR",
        "position": 4,
        "nullValues": ["-", "n/a"],
        "symbols": ["€", "%"],
    },
    {"name": "class", "type": "string", "role": "label", "enum": ["UP", "DOWN"], "positiveClass": "DOWN"},
]
_CSV = {
    "delimiter": ";",
    "quote": "'",
    "escape": "\\",
    "encoding": "cp1252",
    "header": 2,
    "skipRows": 3,
    "footerRows": 1,
    "comment": "#",
    "decimal": ",",
    "thousands": ".",
    "nullValues": ["NA"],
    "trueValues": ["ja"],
    "falseValues": ["nein"],
    "rowDelimiter": "\r\n",
    "skipInitialSpace": True,
    "ragged": "Quarantine",
}

_PLACE = {
    "topologyKey": "topology.kubernetes.io/zone",
    "labelSelector": {
        "matchLabels": {"app": "cache"},
        "matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["old"]}],
    },
}
_PLACES = {
    "requiredDuringSchedulingIgnoredDuringExecution": [_PLACE],
    "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": _PLACE}],
}
_POD_TEMPLATE = {
    "labels": {"example.com/team": "grid"},
    "annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"},
    "env": [{"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"}],
    "nodeSelector": {"example.com/pool": "gpu"},
    "tolerations": [
        {"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoExecute", "tolerationSeconds": 60},
        {"operator": "Exists"},
    ],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [
                    {
                        "matchExpressions": [
                            {"key": "example.com/cores", "operator": "Gt", "values": ["8"]},
                            {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64", "arm64"]},
                            {"key": "example.com/spot", "operator": "DoesNotExist"},
                        ]
                    }
                ]
            },
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {
                    "weight": 50,
                    "preference": {
                        "matchExpressions": [{"key": "example.com/disk", "operator": "In", "values": ["fast"]}]
                    },
                }
            ],
        },
        "podAffinity": _PLACES,
        "podAntiAffinity": _PLACES,
    },
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"}
    ],
    "priorityClassName": "batch",
    "runtimeClassName": "nvidia",
    "serviceAccountName": "reader",
    "imagePullSecrets": [{"name": "registry"}],
}
_DEVICES = {
    "requests": {"cpu": "500m", "memory": "512Mi"},
    "limits": {"cpu": "2", "memory": "2Gi", "nvidia.com/gpu": "1"},
}
_DATASET = _object(
    "Dataset",
    {
        "source": {
            "captured": {
                "modelName": "electricity",
                "stage": "production",
                "window": "365d",
                "labels": "Required",
                "history": {"s3": {"uri": "s3://raw/electricity/", "secretRef": {"name": "grid.archive-1"}}},
            }
        },
        "format": "csv",
        "csv": _CSV,
        "fields": _FIELDS,
        "clean": [
            {"deduplicate": {"by": ["id"]}},
            {"dropNulls": ["class"]},
            {"fillNull": {"field": "price", "value": "0"}},
            {"fillNull": {"field": "price", "strategy": "median"}},
            {"fillNull": {"field": "price", "strategy": "forward", "by": ["id"]}},
            {"filter": "price >= 0"},
        ],
        "features": [{"name": "double_price", "expression": "price * 2"}],
        "validation": {
            "rules": [{"name": "cheap", "expression": "price < 100"}],
            "onFailure": "Quarantine",
            "maxQuarantinedPercent": 5,
            "minRows": 10,
        },
        "split": {
            "strategy": "time",
            "seed": 7,
            "fractions": {"train": "0.6", "validation": "0.2", "test": "0.2"},
        },
        "refresh": {"schedule": "0 3 * * 1", "timeZone": "Europe/Berlin"},
        "governance": {
            "owner": "grid",
            "purpose": "forecast",
            "license": "CC-BY-4.0",
            "pii": ["id", "class"],
            "piiInModels": ["class"],
            "piiInCaptures": ["id"],
        },
        "retention": {"keepVersions": 5, "maxAge": "90d"},
        "freshness": {"maxAge": "26h", "measure": "EventTime"},
        "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "4Gi"}},
        "podTemplate": _POD_TEMPLATE,
        "suspend": False,
    },
)
_PROMOTION = {
    "stages": [
        {
            "name": "dev",
            "gates": [{"golden": {}}],
            "replicas": 1,
            "resources": {
                "requests": {"cpu": "500m", "memory": "512Mi"},
                "limits": {"cpu": "2", "memory": "2Gi"},
            },
            "podTemplate": _POD_TEMPLATE,
        },
        {
            "name": "production",
            "protocolVersions": ["v2", "grpc-v2"],
            "gates": [{"latency": {"p99Milliseconds": 50}}],
            "approval": {"required": True, "group": "ml-approvers", "notAuthor": True},
            "replicas": 2,
            "auth": {
                "apiKeys": {"secretRef": {"name": "electricity-clients"}},
                "jwt": {
                    "jwksSecretRef": {"name": "issuer-keys"},
                    "issuer": "https://issuer.example.com",
                    "audience": "electricity",
                },
                "routes": {
                    group: {"access": "Authenticated", "clients": ["batch"], "subjects": ["service:billing"]}
                    for group in ("infer", "feedback", "admin", "metrics")
                },
            },
            "tls": {"secretRef": {"name": "electricity-tls"}},
            "canary": {
                "stickyHeader": "X-User-Id",
                "steps": [
                    {"setWeight": 10},
                    {"pause": "30m"},
                    {
                        "analysis": {
                            "errorRate": {"maxIncrease": "0.02"},
                            "latency": {"maxRatio": "2"},
                            "metric": {"name": "roc_auc", "maxLoss": "0.01"},
                            "predictionDrift": {"maxDistance": "0.2"},
                            "alpha": "0.1",
                            "interval": "5m",
                        }
                    },
                ],
            },
            "shadow": {"percent": 20},
        },
        {
            "name": "scaled",
            "protocolVersions": ["v2", "grpc-v2"],
            "autoscaling": {
                "autoscalerClass": "HPA",
                "minReplicas": 2,
                "maxReplicas": 5,
                "targetCPUUtilization": 80,
            },
        },
        {"name": "busy", "autoscaling": {"maxReplicas": 5, "targetConcurrency": 4}},
        {"name": "woken", "autoscaling": {"autoscalerClass": "External", "minReplicas": 0}},
    ]
}
_CAPTURE = {"percent": 50, "flushSeconds": 30, "redact": ["price"]}
_RUN = _object(
    "TrainingRun",
    {
        "datasetRef": {"name": "electricity", "version": 7, "since": "2026-01-31T12:00:00Z"},
        "trainer": {
            "estimator": {
                "name": "HistGradientBoostingClassifier",
                "params": {"learning_rate": "0.1"},
                "maxCategories": 500,
            }
        },
        "search": {
            "algorithm": "random",
            "objective": {"metric": "roc_auc"},
            "parameters": [{"name": "learning_rate", "values": ["0.1", "0.2"]}],
            "maxTrials": 5,
        },
        "costs": [
            {"actual": "UP", "predicted": "DOWN", "cost": "1.5", "column": "nswprice"},
            {"actual": "DOWN", "predicted": "UP", "cost": "20"},
        ],
        "reproducibility": {"seed": 42, "verify": "Once"},
        "gates": [
            {"metric": "roc_auc", "dataset": "test", "min": "0.80", "max": "0.99"},
            {"metric": "roc_auc", "compareTo": "champion", "minDelta": "-0.01"},
        ],
        "register": {"modelName": "electricity", "promotion": _PROMOTION, "capture": _CAPTURE},
        "resources": _DEVICES,
        "podTemplate": _POD_TEMPLATE,
        "activeDeadlineSeconds": 600,
        "backoffLimit": 1,
        "suspend": False,
    },
)
_OWN_CODE = {
    "container": {
        "image": "registry.example.com/team/trainer:1.2",
        "command": ["python", "train.py"],
        "args": ["--inputs", "$(MLOPS_INPUTS)"],
        "env": [{"name": "DEPTH", "value": "3"}],
    }
}
_VERSION = _object(
    "ModelVersion",
    {
        "modelName": "electricity",
        "version": 12,
        "artifact": {"digest": DIGEST},
        "lineage": {
            "trainingRun": "electricity-1",
            "dataset": "electricity",
            "datasetVersion": 7,
            "datasetDigest": DIGEST,
            "dataDeliveredAt": "2026-01-31T02:10:00Z",
            "inputsDigest": DIGEST,
            "environmentDigest": DIGEST,
            "parentVersion": "electricity-v11",
            "estimator": {"name": "Ridge", "params": {"alpha": "0.1"}, "maxCategories": 64},
            "since": "2026-01-01T00:00:00Z",
        },
        "promotion": _PROMOTION,
        "capture": _CAPTURE,
        "withdrawn": False,
        "approvals": [
            {
                "stage": "production",
                "artifact": DIGEST,
                "user": "alice",
                "note": "looked at the segments",
                "time": "2026-01-31T12:00:00Z",
            }
        ],
    },
)
_MONITOR = _object(
    "DriftMonitor",
    {
        "targetRef": {"modelName": "electricity", "stage": "production"},
        "schedule": "*/30 0-6 * JAN,3 MON",
        "timeZone": "UTC",
        "startingDeadlineSeconds": 600,
        "suspend": False,
        "reference": {"datasetRef": {"name": "electricity", "version": 3}},
        "window": {"duration": "24h", "minSamples": 500, "maxSamples": 1000},
        "labels": {
            "sources": [
                {"feedback": {}},
                {
                    "s3": {
                        "uri": "s3://truth/rain/",
                        "secretRef": {"name": "truth"},
                        "format": "csv",
                        "columns": {"id": "request", "row": "row", "label": "outcome", "time": "at"},
                    }
                },
                {
                    "http": {
                        "url": "https://example.com/truth.parquet",
                        "secretRef": {"name": "web-token"},
                        "format": "parquet",
                        "columns": {"id": "id", "row": "n", "label": "y", "time": "t"},
                    }
                },
                {"datasetRef": {"name": "electricity"}, "joinKeys": ["station"], "within": "2d"},
            ],
            "maxDelay": "14d",
            "minCoverage": "0.2",
        },
        "checks": [
            {
                "name": "inputs",
                "type": "DataDrift",
                "alpha": "0.01",
                "correction": "Bonferroni",
                "minEffectSize": "0.1",
                "minShare": "0.25",
                "segments": {"columns": ["station", "country"], "minSamples": 300},
            },
            {"name": "relation", "type": "ConceptDrift", "metric": "roc_auc", "minDrop": "0.05"},
        ],
        "actions": [
            {"when": ["DataDrift"], "do": "Retrain"},
            {"when": ["ConceptDrift"], "do": "RollbackAndRebuild"},
            {"when": ["ConceptDrift"], "do": "Recalibrate"},
            {"when": ["PerformanceDrop"], "do": "Rollback"},
            {"when": ["Inconclusive"], "do": "AskForLabels", "budget": 100},
            {"when": ["LabelShift"], "do": "Notify"},
            {"when": ["DataQuality"], "do": "Hold"},
        ],
        "trainingRunRef": {"name": "electricity"},
        "guard": {
            "cooldown": "1d12h",
            "maxRunsPerWeek": 2,
            "maxRejectedChallengers": 3,
            "confirmations": 2,
            "circuitResetAfter": "14d",
        },
        "resources": {"requests": {"cpu": "200m"}, "limits": {"memory": "4Gi"}},
        "podTemplate": _POD_TEMPLATE,
    },
)


def changed(base: Object, changes: dict[str, Any]) -> Object:
    """Return a copy of `base` with values set at dotted paths such as `spec.fields.2.min`; None removes the field."""
    result = copy.deepcopy(base)
    for path, value in changes.items():
        node: Any = result
        *parents, last = path.split(".")
        for part in parents:
            node = node[int(part)] if isinstance(node, list) else node.setdefault(part, {})
        if isinstance(node, list):
            node[int(last)] = value
        elif value is None:
            node.pop(last, None)
        else:
            node[last] = value
    return result


def a_dataset(**changes: Any) -> Object:
    """Return a Dataset that sets every field it can."""
    return changed(_DATASET, changes)


def a_run(**changes: Any) -> Object:
    """Return a TrainingRun that sets every field it can."""
    return changed(_RUN, changes)


def a_version(**changes: Any) -> Object:
    """Return a ModelVersion that sets every field it can."""
    return changed(_VERSION, changes)


def a_monitor(**changes: Any) -> Object:
    """Return a DriftMonitor that sets every field it can."""
    return changed(_MONITOR, changes)


# What is for CSV alone, taken out.
_OTHER_FORMAT: dict[str, Any] = {"spec.csv": None, "spec.fields.2.position": None}

# Together they reach every field of every spec.
VALID: dict[str, Object] = {
    "dataset from captures": a_dataset(),
    "dataset from s3": a_dataset(
        **{"spec.source": {"s3": {"uri": "s3://raw/electricity/day.csv", "secretRef": {"name": "grid"}}}}
    ),
    "dataset from http": a_dataset(
        **{
            "spec.source": {
                "http": {
                    "url": "https://example.com/a.csv?x=1",
                    "sha256": "ab" * 32,
                    "secretRef": {"name": "web-token"},
                }
            }
        }
    ),
    "dataset of a database": a_dataset(
        **_OTHER_FORMAT,
        **{
            "spec.format": None,
            "spec.source": {
                "sql": {
                    "engine": "postgresql",
                    "secretRef": {"name": "warehouse"},
                    "query": "SELECT id, inserted, price, class FROM prices",
                    "incremental": {"column": "inserted"},
                }
            },
            "spec.fields.1": {"name": "at", "type": "timestamp", "role": "timestamp", "column": "inserted"},
        },
    ),
    "dataset of JSON": a_dataset(**_OTHER_FORMAT, **{"spec.format": "json", "spec.json": {"records": "data.items"}}),
    "dataset of Excel": a_dataset(
        **_OTHER_FORMAT, **{"spec.format": "excel", "spec.excel": {"sheet": "Sales 2026", "range": "B3:F200"}}
    ),
    "run of an estimator": a_run(),
    "run of own code": a_run(**{"spec.trainer": _OWN_CODE, "spec.search": None}),
    "run of a recalibration": a_run(
        **{
            "spec.search": None,
            "spec.trainer": {
                "recalibration": {
                    "artifact": "sha256:" + "a" * 64,
                    "trainedAs": {"name": "LogisticRegression", "params": {"C": "7"}, "maxCategories": 20},
                }
            },
        }
    ),
    "run after a refresh": a_run(
        **{"spec.datasetRef": {"name": "electricity", "notBefore": "2026-01-31T12:00:00.25Z"}}
    ),
    "template": a_run(
        **{
            "spec.datasetRef": {"name": "electricity"},
            "spec.triggers": [{"templateChange": {}}, {"datasetVersion": {}}, {"datasetGrowth": {"percent": 50}}],
        }
    ),
    "version of a digest": a_version(),
    "version of a run": a_version(
        **{"spec.artifact": None, "spec.source": {"trainingRunRef": {"name": "electricity-1"}}}
    ),
    "monitor": a_monitor(),
    "monitor of an earlier window": a_monitor(
        **{"spec.reference": {"window": {"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00.5Z"}}}
    ),
    "monitor of a season": a_monitor(**{"spec.reference": {"seasonal": {"offset": "365d"}}}),
    "monitor of the newest rows": a_monitor(**{"spec.window": {"rows": 5000, "minSamples": 500}}),
    "monitor of training data": a_monitor(**{"spec.reference": {"trainingData": {}}}),
    "monitor of delivered CSV": a_monitor(
        **{
            "spec.labels.sources": [
                {"http": {"url": "https://example.com/truth.csv", "format": "csv"}},
                {"s3": {"uri": "s3://truth/rain/", "format": "GroundTruthJSONL"}},
            ]
        }
    ),
}
