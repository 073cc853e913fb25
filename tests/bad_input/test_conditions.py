"""Mistakes that only the data, another object or the user's code shows: a condition says what, where and the way out."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.bad_input.world import (
    FIELDS,
    Case,
    csv,
    dataset,
    estimator,
    good_csv,
    http,
    own,
    parquet,
    run,
    table,
    write,
)
from tests.cli.project import mlops

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

GOOD = [
    dataset("good", "Versioned", "40 rows", csv(good_csv())),
    dataset("bom 37 a byte order mark", "Versioned", "40 rows", csv("\ufeff" + good_csv())),
    dataset("quoted 37 line ends in quotes, and a formula", "Versioned", "2 rows", csv('a,y\n1,"=cmd()\nx"\n2,no\n')),
]
BAD = [
    dataset("no-source 23 nothing was delivered", "SourceNotFound", "s3://raw/no-source/"),
    dataset("text-as-parquet 36 CSV named Parquet", "FormatError", "rows.parquet", {"rows.parquet": good_csv().encode()}, format="parquet"),
    dataset("cut-parquet 36 cut off", "FormatError", "rows.parquet", {"rows.parquet": parquet(table())[:-30]}, format="parquet"),
    dataset("no-header 37", "SchemaMismatch", "a", csv(good_csv().partition("\n")[2])),
    dataset("twice 37 a column twice", "FormatError", "a", csv("a,a,y\n1,2,no\n3,4,yes\n")),
    dataset("ragged 37", "FormatError", "row 2 has 3 fields, the header has 2", csv("a,y\n1,no\n2,yes,3\n")),
    dataset("utf16 37", "FormatError", "UTF-16", {"rows.csv": good_csv().encode("utf-16")}),
    dataset("nul 37", "FormatError", "NUL", csv("a,y\n1,n\x00o\n2,yes\n")),
    dataset("absent 39 a column that is not there", "SchemaMismatch", "b", csv(good_csv()), fields=[*FIELDS, {"name": "b", "type": "float64"}]),
    dataset("wrong-type 39 a text among numbers", "SchemaMismatch", "row 2", csv("a,y\n1,no\nmany,yes\n")),
    dataset("one-class 40", "DataUnusable", "one", csv("a,y\n1,no\n2,no\n")),
    dataset("no-label 40 no value in the label", "Rejected", "y", csv("a,y\n1,\n2,\n")),
    dataset("no-rows 40", "DataUnusable", "row", csv("a,y\n")),
    dataset("infinite 42", "Rejected", "inf", csv("a,y\ninf,no\n2,yes\n")),
    dataset("expression 44 code in a feature", "ExpressionInvalid", "spec.features[0].expression", csv(good_csv()), features=[{"name": "f", "expression": "__import__('os').system('id')"}]),
    dataset("zone 12", "X", "Mars", csv(good_csv()), refresh={"schedule": "0 0 * * *", "timeZone": "Mars/Olympus"}),
    dataset("never 11 a day that no month has", "X", "never", csv(good_csv()), refresh={"schedule": "0 0 30 2 *"}),
    http("metadata 31", "http://169.254.169.254/latest/meta-data"),
    http("short 31", "http://127.1/x"),
    http("hexadecimal 31", "http://0x7f000001/x"),
    http("decimal 31", "http://2130706433/x"),
    http("loopback 31", "http://localhost./x"),
    http("six 31", "http://[fd00:ec2::254]/x"),
    run("no-dataset 23", "DatasetNotFound", 'Dataset "nowhere" not found in namespace "default"', estimator(), datasetRef={"name": "nowhere"}),
    run("not-ready 24", "DatasetNotReady", 'Dataset "no-source" is not ready: SourceNotFound', estimator(), datasetRef={"name": "no-source"}),
    run("no-estimator 43", "EstimatorUnknown", "LogisticRegresion", estimator("LogisticRegresion")),
    run("no-parameter 43", "ParameterInvalid", "spec.trainer.estimator.params.c", estimator(c="1")),
    run("out-of-range 43", "ParameterInvalid", "spec.trainer.estimator.params.C", estimator(C="-1")),
    run("shell 44", "ParameterInvalid", "$(rm -rf /)", estimator(C="$(rm -rf /)")),
    run("template 44", "ParameterInvalid", "{{ 7*7 }} %s", estimator(C="{{ 7*7 }} %s")),
    run("gate 43 a metric that there is not", "MetricMissing", "my_metric", estimator(), gates=[{"metric": "my_metric", "min": "0"}]),
    run("exits", "TrainingFailed", "spec.trainer.container exited with code 3", own("exit", "$(touch ran)", "`id`", "%s")),
    run("onnx 49 a pickle named model.onnx", "FormatForbidden", "model.onnx", own("pickle-as-onnx")),
    run("skops 49 a pickle named model.skops", "FormatForbidden", "model.skops", own("pickle-as-skops")),
    run("pickle 49", "FormatForbidden", "model.pkl", own("pickle")),
    run("nothing 20", "OutputInvalid", "holds no model", own("nothing")),
    run("link", "OutputInvalid", "model.onnx is no plain file", own("link")),
    Case("version 29", "ModelVersion", {"modelName": "lost", "version": 1, "artifact": {"digest": "sha256:" + "0" * 64}}, "X", "0000"),
    Case(
        "monitor 23", "DriftMonitor",
        {"targetRef": {"modelName": "nowhere"}, "schedule": "0 * * * *", "window": {"duration": "1d"}, "checks": [{"name": "inputs", "type": "DataDrift"}], "actions": [{"when": ["DataQuality"], "do": "Hold"}]},
        "TargetNotFound", 'spec.targetRef: model "nowhere" has no version in "default"',
    ),
]  # fmt: skip
