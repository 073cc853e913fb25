"""Manifests are read as kubectl reads them; what is wrong is told with its place."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import yaml

from mlops.cli import manifests
from mlops.cli.errors import UserError
from mlops.cli.yaml_text import NotAManifest, documents
from mlops.cli.yaml_written import written
from tests.cli.project import MANIFESTS

DATASET, RUN = MANIFESTS.split("---\n")


def names(found: manifests.Manifests) -> list[tuple[str, str]]:
    return [(document.key[0], document.key[2]) for document in found.documents]


@pytest.mark.parametrize(
    ("files", "want"),
    [
        pytest.param({"a.yaml": MANIFESTS}, ["Dataset", "TrainingRun"], id="several documents in a file"),
        pytest.param({"b.yml": RUN, "a.yaml": DATASET}, ["Dataset", "TrainingRun"], id="files in the order of names"),
        pytest.param({"a.yaml": "---\n" + DATASET + "---\n---\n"}, ["Dataset"], id="empty documents"),
        pytest.param({"a.yaml": "\ufeff" + DATASET}, ["Dataset"], id="byte order mark"),
        pytest.param({"a.yaml": DATASET.replace("\n", "\r\n")}, ["Dataset"], id="Windows line ends"),
        pytest.param({"a.json": json.dumps(yaml.safe_load(DATASET), indent="\t")}, ["Dataset"], id="JSON with tabs"),
        pytest.param({"a.yaml": json.dumps(yaml.safe_load(DATASET))}, ["Dataset"], id="JSON that is named YAML"),
        pytest.param(
            {"a.yaml": written({"apiVersion": "v1", "kind": "List", "items": [yaml.safe_load(DATASET)]})},
            ["Dataset"],
            id="a List",
        ),
        pytest.param({"a.yaml": DATASET, "notes.md": "# hello", "data.csv": "x"}, ["Dataset"], id="other files beside"),
    ],
)
def test_a_folder_is_read(tmp_path: Path, files: dict[str, str], want: list[str]) -> None:
    """What kubectl apply -f takes."""
    for name, text in files.items():
        (tmp_path / name).write_bytes(text.encode())
    assert [kind for kind, _ in names(manifests.read([str(tmp_path)]))] == want


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """-f - ."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(MANIFESTS.encode())))
    assert names(manifests.read(["-"])) == [("Dataset", "tiny"), ("TrainingRun", "tiny")]


def test_other_software_s_objects_are_left_out(tmp_path: Path) -> None:
    """A folder for a cluster may hold a Namespace and a Secret."""
    (tmp_path / "a.yaml").write_text(
        DATASET + "---\n{apiVersion: v1, kind: Secret, metadata: {name: mlops-store}, data: {}}\n"
    )
    found = manifests.read([str(tmp_path)])
    assert names(found) == [("Dataset", "tiny")]
    assert found.left_out == ("Secret mlops-store",)


def test_what_a_cluster_wrote_is_no_wish_of_the_user_s(tmp_path: Path) -> None:
    """The output of `mlops get -o yaml` is a manifest: its status is ignored, as a subresource is."""
    document = yaml.safe_load(DATASET)
    document["metadata"] |= {"uid": "x", "resourceVersion": "7", "creationTimestamp": "2026-01-01T00:00:00Z"}
    document["status"] = {"version": 99, "nonsense": True}
    (tmp_path / "a.yaml").write_text(written(document))
    (read,) = manifests.read([str(tmp_path)]).documents
    assert read.manifest == yaml.safe_load(DATASET)


_SPEC_TWICE = DATASET + "spec: {}\n"


@pytest.mark.parametrize(
    ("name", "content", "want"),
    [
        pytest.param("a.yaml", _SPEC_TWICE, "a.yaml:14:1: key 'spec' stands twice", id="duplicate key"),
        pytest.param("a.json", '{"kind": "Dataset", "kind": "Dataset"}', "key 'kind' stands twice", id="in JSON"),
        pytest.param("a.yaml", "a: &x [1]\nb: *x\n", "a.yaml:2:4: aliases (*name) are not allowed", id="alias"),
        pytest.param("a.yaml", "no: x\n", "a.yaml:1:1: key False is not a text", id="a key that YAML reads as false"),
        pytest.param("a.yaml", "a: b\n\tc: d\n", "a.yaml:2:1: found character", id="tab"),
        pytest.param("a.yaml", "a: [1\n", "a.yaml:2:1: expected ',' or ']'", id="bracket left open"),
        pytest.param(
            "a.yaml",
            "a: !!python/object:os.system x\n",
            "a tag ('tag:yaml.org,2002:python/object:os.system') is not allowed",
            id="tag",
        ),
        pytest.param("a.yaml", "a: !!binary aGk=\n", "a tag ('tag:yaml.org,2002:binary') is not allowed", id="binary"),
        pytest.param("a.yaml", "a: b\nc: \x00\n", "a.yaml:2: character #x0000 is not allowed", id="NUL"),
        pytest.param("a.yaml", "a: " + "[" * 600, "nested too deeply", id="deep nesting"),
        pytest.param("a.json", "[" * 200_000, "nested too deeply", id="deep nesting in JSON"),
        pytest.param("a.yaml", "a: " + "9" * 5_000, "a number has more than 4300 digits", id="a number of 5000 digits"),
        pytest.param("a.json", '{"a": 1,}', "a.json:1:9: not JSON", id="not JSON"),
        pytest.param("a.yaml", b"a: \xe9\n", "not UTF-8 at byte 3: save it as UTF-8", id="Latin-1"),
        pytest.param("a.yaml", DATASET.encode("utf-16"), "not UTF-8 at byte 0", id="UTF-16"),
        pytest.param("a.yaml", "just text\n", "document 1 is no object but a text", id="a text"),
        pytest.param("a.yaml", "- a\n", "document 1 is no object but a list", id="a list"),
        pytest.param("a.yaml", "{apiVersion: v1, kind: List}", "items: a List needs a list", id="a List of nothing"),
        pytest.param("a.yaml", b"a: b #" + b"x" * 3 * 1024 * 1024, "a manifest holds no data", id="large"),
        pytest.param("a.yaml", "", "no manifest in", id="empty"),
        pytest.param(
            "a.yaml",
            "kind: Dataset\n",
            "Dataset without an apiVersion is not one of mlops.dev/v1alpha1",
            id="no apiVersion",
        ),
        pytest.param("a.yaml", "{apiVersion: v1, kind: Secret}", "only Secret", id="nothing of ours"),
        pytest.param("a.yaml", DATASET + "---\n" + DATASET, "Dataset 'tiny' stands twice", id="the same object twice"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(tmp_path: Path, name: str, content: str | bytes, want: str) -> None:
    """File, line, column, and what to do; never a traceback."""
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as caught:
        manifests.read([str(tmp_path)])
    assert want in caught.value.message


def test_a_bomb_of_values_ends_early(tmp_path: Path) -> None:
    """Small as text, large as data."""
    (tmp_path / "a.yaml").write_text("a: [" + "1," * 20_000 + "]")
    with pytest.raises(UserError, match="more than 20000 values"):
        manifests.read([str(tmp_path)])


def test_a_missing_path_and_an_empty_folder_are_named(tmp_path: Path) -> None:
    """The commonest mistakes."""
    with pytest.raises(UserError, match=r"nowhere: there is no such file or folder"):
        manifests.read([str(tmp_path / "nowhere")])
    with pytest.raises(UserError, match=r"no manifest in .*: files end in .yaml, .yml, .json"):
        manifests.read([str(tmp_path)])


def test_every_mistake_of_every_document_is_listed(tmp_path: Path) -> None:
    """One look is enough to mend all."""
    (tmp_path / "a.yaml").write_text(MANIFESTS.replace("type: float64", "type: float").replace("gates", "gate"))
    with pytest.raises(UserError) as caught:
        manifests.read([str(tmp_path)])
    message = caught.value.message
    assert "spec.fields[2].type: Unsupported value: 'float'" in message
    assert "spec.fields[3].type" in message
    assert "spec.gate: unknown field" in message


@pytest.mark.parametrize("content", ['{"a": ' + "1" * 5000 + "}", "a: " + "1" * 5000, "{a: " + "1" * 5000 + "}"])
def test_a_json_number_of_too_many_digits_is_no_traceback(content: str) -> None:
    """Python refuses to read it with a ValueError that is none of JSON's."""
    with pytest.raises(NotAManifest, match="more than 4300 digits"):
        list(documents(content))
