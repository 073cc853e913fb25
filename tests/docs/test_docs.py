"""What the pages say can be checked: links lead somewhere, manifests parse, lists of reasons and packages are whole."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops.api.base import API_VERSION, Model
from mlops.api.kinds import KINDS, models_of, parse
from mlops.api.reasons import of_kind
from mlops.workloads.train.estimators import ESTIMATORS

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md", "bench/**/*.md", "hack/**/*.md", "charts/**/*.md")
    for page in ROOT.glob(pattern)
)
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGE_OF = {
    "Dataset": "dataset.md",
    "TrainingRun": "training-run.md",
    "ModelVersion": "model-version.md",
    "DriftMonitor": "drift-monitor.md",
}
LONGEST_LINE = 120

# A test as pages name it: `tests/folder/file.py::function`, with a case of it in brackets if need be.
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)(?:\[[^`\]]+\])?`")
_TEST_WITHOUT_ITS_FILE = re.compile(r"`((?!tests/)[^`\s]*(?:::)?test_\w+(?:\[[^`]*)?)`")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_DIFF = re.compile(r"^```diff\n.*?^```$", re.MULTILINE | re.DOTALL)
_INLINE_CODE = re.compile(r"(?<!`)(`+)(?!`)(?:(?!\n\n).)*?(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_REQUIREMENT = re.compile(r"[A-Za-z0-9._-]+")


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _without_code(text: str) -> str:
    return _INLINE_CODE.sub("", _FENCE.sub("", text))


def _links(page: Path) -> Iterator[tuple[str, str]]:
    """Yield (path, anchor) of each relative link."""
    for target in _LINK.findall(_without_code(page.read_text())):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            yield path, anchor


def _anchors(page: Path) -> set[str]:
    """Return the anchors that a page's headings get where Markdown is rendered."""
    headings = _HEADING.findall(_FENCE.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _part(kind: str, name: str) -> type[Model]:
    """Return the type of a kind's spec or status."""
    part = KINDS[kind].model_fields[name].annotation
    assert isinstance(part, type)
    assert issubclass(part, Model)
    return part


def _manifests() -> Iterator[Any]:
    for page in PAGES:
        for index, (language, content) in enumerate(_FENCE.findall(page.read_text())):
            if language in ("yaml", "yml"):
                for document in yaml.safe_load_all(content):
                    if isinstance(document, dict) and document.get("apiVersion") == API_VERSION:
                        named = f"{_name(page)} block {index} {document['kind']} {document['metadata']['name']}"
                        yield pytest.param(document, id=named)


@pytest.mark.parametrize("page", [pytest.param(page, id=_name(page)) for page in PAGES])
def test_links_lead_to_files_and_headings_that_are_there(page: Path) -> None:
    """Whoever follows a relative link arrives."""
    broken = []
    for path, anchor in _links(page):
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in _anchors(target)):
            broken.append(f"{path}#{anchor}" if anchor else path)
    assert not broken, f"{_name(page)} links to {broken}"


@pytest.mark.parametrize("page", [pytest.param(page, id=_name(page)) for page in PAGES])
def test_tests_that_a_page_names_are_there(page: Path) -> None:
    """Whoever doubts a promise finds the test that holds it: a file, and a function of it."""
    text = page.read_text()
    missing = _TEST_WITHOUT_ITS_FILE.findall(text)
    missing += [file for file in re.findall(r"\btests/[\w/]+\.py\b", text) if not (ROOT / file).is_file()]
    for file, function in _TEST.findall(text):
        source = ROOT / file
        if not source.is_file() or not re.search(rf"^(?:async )?def {function}\(", source.read_text(), re.MULTILINE):
            missing.append(f"{file}::{function}")
    assert not missing, f"{_name(page)} names {missing}"


@pytest.mark.parametrize("manifest", list(_manifests()))
def test_manifests_in_the_pages_can_be_applied(manifest: dict[str, Any]) -> None:
    """Whoever copies a manifest from a page gets an object, not an error."""
    assert parse(manifest).metadata.name == manifest["metadata"]["name"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_reason_is_reached_from_its_kinds_page(kind: str) -> None:
    """Whoever meets a reason in a condition finds its meaning and the way out; tests/api/test_reasons.py says more."""
    assert f"(reasons.md#{kind.lower()})" in (ROOT / "docs" / PAGE_OF[kind]).read_text()
    text = (ROOT / "docs" / "reasons.md").read_text()
    sections = [text.partition(f"\n## {title}\n")[2].partition("\n## ")[0] for title in (kind, "Any kind")]
    listed = re.findall(r"^- \*\*`(\w+)`", "".join(sections), re.MULTILINE)
    assert {each.reason for each in of_kind(kind)} <= set(listed)


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_the_spec_stands_on_its_kinds_page(kind: str) -> None:
    """Whoever looks for a setting finds it."""
    text = (ROOT / "docs" / PAGE_OF[kind]).read_text()
    names = {
        field.alias or name for model in models_of(_part(kind, "spec")) for name, field in model.model_fields.items()
    }
    missing = sorted(name for name in names if not re.search(rf"\b{name}\b", text))
    # A run's promotion and capture are a version's own, and stand on that page.
    elsewhere = (ROOT / "docs" / "model-version.md").read_text() if kind == "TrainingRun" else ""
    # What is said of pods is the same for every kind.
    elsewhere += (ROOT / "docs" / "pods.md").read_text()
    assert not [name for name in missing if not re.search(rf"\b{name}\b", elsewhere)], missing


def test_every_field_of_the_status_stands_on_its_kinds_page() -> None:
    """Whoever reads a status finds what its fields say."""
    missing = []
    for kind, page in PAGE_OF.items():
        text = (ROOT / "docs" / page).read_text()
        for name, field in _part(kind, "status").model_fields.items():
            shown = field.alias or name
            if shown not in ("observedGeneration", "conditions") and f"`{shown}`" not in text:
                missing.append(f"docs/{page}: {shown}")
    assert not missing


def test_every_allowed_estimator_is_listed() -> None:
    """Whoever chooses an estimator sees all that there are; pairs stand there by their common stem."""
    text = (ROOT / "docs" / "training-run.md").read_text()
    stems = {name: re.sub("(Classifier|Regressor)$", "", name) for name in ESTIMATORS}
    assert not [name for name, stem in stems.items() if name not in text and not re.search(rf"\b{stem}\b", text)]
    paragraph = text.partition("\n### Estimators\n\n")[2].partition("\n\n")[0]
    unknown = {*re.findall(r"\b[A-Z]\w+", paragraph)} - {*stems, *stems.values(), "Classifier", "Regressor"}
    assert not unknown, f"listed, and not allowed: {unknown}"


def test_every_dependency_is_justified() -> None:
    """No package comes in without a reason in writing."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    listed += [one for extra in project["project"]["optional-dependencies"].values() for one in extra]
    names = {match[0] for one in listed if (match := _REQUIREMENT.match(one))}
    text = (ROOT / "docs" / "dependencies.md").read_text()
    assert not sorted(name for name in names if f"\n| `{name}` |" not in text)


@pytest.mark.parametrize("page", [pytest.param(page, id=_name(page)) for page in DOCS])
def test_pages_are_reached_from_the_index(page: Path) -> None:
    """No page is an orphan: from docs/README.md, links lead to every one."""
    reached, todo = set(), [ROOT / "docs" / "README.md"]
    while todo:
        here = todo.pop()
        if here not in reached and here.suffix == ".md" and here.is_file():
            reached.add(here)
            todo += [(here.parent / path).resolve() for path, _ in _links(here) if path]
    assert page in reached


@pytest.mark.parametrize("page", [pytest.param(page, id=_name(page)) for page in DOCS])
def test_lines_fit_into_an_editor(page: Path) -> None:
    """A difference of a page can be read. A row of a table has to be one line, however long."""
    # A line of a diff has one letter more than the line that it is about.
    text = _DIFF.sub(lambda diff: re.sub("^.", "", diff[0], flags=re.MULTILINE), page.read_text())
    lines = enumerate(text.splitlines(), 1)
    long = [number for number, line in lines if len(line) > LONGEST_LINE and not line.startswith("|")]
    assert not long, f"{_name(page)}: lines {long}"


@pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES])
def test_no_page_holds_a_control_character(page: Path) -> None:
    """Programs that look for text take such a page for none, and show nothing of it."""
    found = [
        letter for letter in page.read_text("utf-8") if (ord(letter) < 32 and letter != "\n") or ord(letter) == 127
    ]
    assert not found
