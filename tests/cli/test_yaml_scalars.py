"""One reading of YAML: what a scalar means to `mlops` is what it means to the real `kubectl`."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path

import pytest
import yaml

from mlops.cli import manifests
from mlops.cli.errors import UserError
from mlops.cli.yaml_scalars import NoJsonNumber, resolved
from mlops.cli.yaml_text import NotAManifest, documents
from mlops.cli.yaml_written import written
from tests.servers.process import program

SCALARS = (
    *("y", "Y", "yes", "Yes", "YES", "yEs", "n", "N", "no", "No", "NO", "on", "On", "ON", "oN", "off", "Off", "OFF"),
    *("true", "True", "TRUE", "tRUE", "false", "False", "FALSE", "null", "Null", "NULL", "~", "nULL", "None", "nil"),
    *("0", "-0", "+1", "10", "010", "-010", "08", "0o17", "0O17", "0x1F", "-0x1f", "0xAG", "0b11", "-0b11", "0b12"),
    *("1_000", "1_", "_1", "0x_1F", "._5", "1:30", "190:20:30", "1:30.5", "2020-01-01", "2020-01-01T00:00:00Z"),
    *("1.0", "1.", ".5", "-.5", "+.5", "1e3", "1e+3", "1.e5", "1e", "1.5e-3", "0.1", "12e03", "1e400", "-1e400"),
    *("9223372036854775807", "9223372036854775808", "18446744073709551615", "99999999999999999999", "1e20"),
    *("=", "1.2.3", "1-2", "+", "-", ".", "..", "a b", "e3", "0.0", "-0.0", "00", "0_7", "1__0", "infinity", "nan"),
)
_LETTERS = "0123456789+-._eExXobOB:~yYnNaAfF17 "


def _is_one_plain_scalar(text: str) -> bool:
    try:
        tokens = list(yaml.scan(f"- {text}"))
    except yaml.YAMLError:
        return False
    found = [token for token in tokens if isinstance(token, yaml.ScalarToken)]
    return len(tokens) == 6 and len(found) == 1 and found[0].plain and found[0].value == text


def _drawn(seed: int, count: int) -> list[str]:
    generator = random.Random(seed)
    found: list[str] = []
    while len(found) < count:
        text = "".join(generator.choices(_LETTERS, k=generator.randint(1, 8))).strip()
        if _is_one_plain_scalar(text):
            found.append(text)
    return found


def _read_by_kubectl(text: str) -> object:
    command = [program("kubectl"), "label", "--local", "-f", "-", "a=b", "-o", "json"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)["spec"]["values"]


_MANIFEST = "apiVersion: mlops.dev/v1alpha1\nkind: Dataset\nmetadata: {name: x}\nspec:\n  values:\n"


@pytest.mark.apiserver
@pytest.mark.parametrize("scalars", [pytest.param(SCALARS, id="table"), *(_drawn(seed, 1500) for seed in range(2))])
def test_a_scalar_means_what_kubectl_reads(scalars: list[str]) -> None:
    """Booleans, octal numbers, times of day, underscores, exponents: the same JSON."""
    there = _read_by_kubectl(_MANIFEST + "".join(f"  - {text}\n" for text in scalars))
    (here,) = documents("".join(f"- {text}\n" for text in scalars))
    assert [
        (text, ours, theirs)
        for text, ours, theirs in zip(scalars, here.value, there, strict=True)
        if json.dumps(ours) != json.dumps(theirs) and not (isinstance(ours, float) and ours == float(str(theirs)))
    ] == []


@pytest.mark.apiserver
def test_what_is_written_is_read_back_by_kubectl() -> None:
    """`mlops get -o yaml` is a manifest again: also of a column that is called y."""
    texts = [*SCALARS, *_drawn(7, 500), ".inf", "-.INF", ".nan", "", " a", "a: b", "#", "'", '"', "ü", "<<"]
    document = {"apiVersion": "v1", "kind": "Any", "metadata": {"name": "x"}, "spec": {"values": texts}}
    assert _read_by_kubectl(written(document)) == texts
    (here,) = documents(written(document))
    assert here.value == document


@pytest.mark.parametrize("text", [".inf", "-.Inf", "+.INF", ".nan", ".NaN"])
def test_what_no_json_holds_is_refused_with_its_place(text: str) -> None:
    """kubectl cannot send it either."""
    with pytest.raises(NoJsonNumber):
        resolved(text)
    with pytest.raises(NotAManifest, match="a number that JSON has not: put it in quotes") as info:
        list(documents(f"a:\n- {text}\n"))
    assert (info.value.line, info.value.column) == (2, 3)


@pytest.mark.parametrize("name", ["y", "no", "on", "Off"])
def test_a_column_that_yaml_takes_for_a_boolean_is_told_before_a_cluster_tells_it(name: str) -> None:
    """`{name: y}` ran here and was refused by kubectl."""
    (plain,) = documents(f"{{name: {name}}}")
    (quoted,) = documents(f"{{name: '{name}'}}")
    assert plain.value != {"name": name}
    assert quoted.value == {"name": name}


def test_a_run_takes_such_a_column_as_it_is_written_and_says_what_kubectl_refuses(tmp_path: Path) -> None:
    """What kubectl would refuse is told, and means nothing else here; `mlops validate` refuses it."""
    fields = "  - {name: y, type: float64, role: label}\n  - {name: 'no', type: boolean, nullable: yes}\n"
    head = "apiVersion: mlops.dev/v1alpha1\nkind: Dataset\nmetadata: {name: d}\n"
    file = tmp_path / "d.yaml"
    file.write_text(f"{head}spec:\n  source: {{s3: {{uri: s3://raw/d/}}}}\n  fields:\n{fields}")
    found = manifests.read([str(file)], words_are_texts=True)
    names = [(one["name"], one.get("nullable")) for one in found.documents[0].manifest["spec"]["fields"]]
    assert names == [("y", None), ("no", True)]
    assert found.warnings == (f'{file}:7: spec.fields[0].name: y is a boolean to kubectl, which refuses it: write "y"',)
    with pytest.raises(UserError, match="name: Invalid value: True: must be a text"):
        manifests.read([str(file)])
