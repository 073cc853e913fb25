"""The manifests as text: YAML with comments, the fields one on a line, and the scenario that delivers the files."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mlops.cli.init.deciding import Decided, Guess
from mlops.cli.init.proving import Proof, spec_of
from mlops.cli.init.reading import Profile
from mlops.cli.init.roles import is_classification

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null", "none", "nan", "inf"))
_FEW = 5000
_ORDER = (
    "name",
    "column",
    "position",
    "type",
    "role",
    "nullable",
    "enum",
    "formats",
    "timeZone",
    "nullValues",
    "symbols",
)


@dataclass(frozen=True)
class Written:
    """What a manifest says beside the fields."""

    name: str
    profile: Profile
    decided: Decided
    proof: Proof
    label: Guess
    source: dict[str, Any]

    def has_role(self, role: str) -> bool:
        """Return whether some field has the role."""
        return any(guess.spec.get("role") == role for guess in self.decided.guesses)


def manifests(this: Written) -> str:
    """Return the three manifests."""
    return "---\n".join((_dataset(this), _run(this), _monitor(this)))


def scenario(files: list[tuple[Path, str]]) -> str:
    """Return what delivers the files to the Dataset's place on this machine, as TOML."""
    parts = ["# What `mlops run` delivers before anything runs; in a cluster, copy the files to your S3.\n"]
    parts += [f"[[put]]\nfile = {_toml(str(path))}\nuri = {_toml(uri)}\n" for path, uri in files]
    return "\n".join(parts)


def _toml(text: str) -> str:
    """Return a basic string of TOML: JSON's, with DEL spelled out too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _dataset(this: Written) -> str:
    spec = spec_of(this.profile.delivery, this.decided, this.source)
    lines = [
        _comment(
            f"{this.profile.delivery.names}: {this.profile.rows:,} rows, written by `mlops init`, which read all."
        ),
        *map(_comment, this.profile.notes),
        "apiVersion: mlops.dev/v1alpha1",
        "kind: Dataset",
        f"metadata: {{name: {_flow(this.name)}}}",
        "spec:",
        f"  source: {_flow(spec['source'])}",
        f"  format: {spec['format']}",
    ]
    for part in ("csv", "json", "excel"):
        if part in spec:
            lines.append(f"  {part}: {_flow(spec[part])}{_remarks(_of_csv(spec[part]))}")
    lines.append("  fields:")
    for guess in this.decided.guesses:
        ordered = {name: guess.spec[name] for name in _ORDER if name in guess.spec}
        lines.append(f"    - {_flow(ordered)}{_remarks([*guess.remarks, *guess.doubts])}")
    lines += [f"    # left out: {_one_line(each)}" for each in this.decided.left_out]
    if this.proof.fields[this.label.name].missing:
        lines += ["  clean:", f"    - dropNulls: [{_flow(this.label.name)}] # rows without a label teach nothing"]
    return "\n".join([*lines, *_split(this)]) + "\n"


def _of_csv(spec: dict[str, Any]) -> list[str]:
    if spec.get("encoding") == "cp1252":
        return ["not UTF-8, and every byte is a letter of cp1252: check the accents, --encoding says another"]
    return []


def _split(this: Written) -> list[str]:
    if this.has_role("timestamp"):
        return ["  split: {strategy: time} # the oldest rows train, the newest judge"]
    if this.has_role("entityKey"):
        return ["  split: {strategy: hash} # an entity keeps its part in every version"]
    return ["  split: {strategy: random, seed: 0} # rows with a time are better split by it: --time"]


def _run(this: Written) -> str:
    is_class = is_classification(this.label)
    few = this.profile.rows < _FEW
    kind = "LogisticRegression" if is_class and few else "Ridge" if few else None
    estimator = kind or ("HistGradientBoostingClassifier" if is_class else "HistGradientBoostingRegressor")
    params = ', params: {max_iter: "1000"}' if estimator == "LogisticRegression" else ""
    params += _categories(this) if kind else ""
    other = "HistGradientBoostingClassifier" if is_class else "HistGradientBoostingRegressor"
    remark = f"few rows: a linear model first, then {other}" if few else "takes missing values and text as they are"
    metric = "log_loss" if is_class else "rmse"
    floor = '{metric: accuracy, min: "0.8"}' if is_class else '{metric: r2, min: "0.5"}'
    return f"""\
apiVersion: mlops.dev/v1alpha1
kind: TrainingRun
metadata: {{name: {_flow(this.name)}}}
spec:
  datasetRef: {{name: {_flow(this.name)}}}
  trainer:
    # {remark}
    estimator: {{name: {estimator}{params}}}
  reproducibility: {{seed: 0}}
  gates:
    - {{metric: {metric}, compareTo: champion, minDelta: "0"}} # not worse than the live version, on the same rows
    # a bound of your own, of the test part: - {floor}
  register:
    modelName: {_flow(this.name)}
    promotion: {{stages: [{{name: production, gates: [{{golden: {{}}}}]}}]}}
  triggers: [{{templateChange: {{}}}}]
"""


def _categories(this: Written) -> str:
    """Return how many values of a text are told apart, if a linear model told apart fewer by itself."""
    from mlops.workloads.train.fit import MAX_ONEHOT

    texts = [
        guess.column.evidence for guess in this.decided.guesses if guess.type == "string" and "role" not in guess.spec
    ]
    most = max((len(evidence.values) for evidence in texts if evidence.values is not None), default=0)
    return f", maxCategories: {most}" if most > MAX_ONEHOT else ""


def _monitor(this: Written) -> str:
    metric = "log_loss" if is_classification(this.label) else "rmse"
    return f"""\
apiVersion: mlops.dev/v1alpha1
kind: DriftMonitor
metadata: {{name: {_flow(this.name)}}}
spec:
  targetRef: {{modelName: {_flow(this.name)}}}
  schedule: "0 6 * * 1" # every Monday, on what the model server captured
  window: {{duration: 28d, minSamples: 200}}
  labels: {{maxDelay: 7d, minCoverage: "0.5"}} # how late labels come is yours to say
  checks:
    - {{name: inputs, type: DataDrift}}
    - {{name: answers, type: PredictionDrift}}
    - {{name: worse, type: PerformanceDrop, metric: {metric}}}
  trainingRunRef: {{name: {_flow(this.name)}}} # what a check that finds drift trains again
"""


def _comment(text: str) -> str:
    return f"# {_one_line(text)}"


def _remarks(remarks: list[str]) -> str:
    return f" # {_one_line('; '.join(remarks))}" if remarks else ""


def _one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _flow(value: Any) -> str:
    """Return a value in YAML's flow style; texts that could be read as anything else are in quotes."""
    match value:
        case dict():
            return "{" + ", ".join(f"{name}: {_flow(inner)}" for name, inner in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(_flow, value)) + "]"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return str(value)
    return yaml.safe_dump(value, default_style='"', allow_unicode=True, width=1 << 30).removesuffix("\n")
