"""One name for one thing: names that the glossary gave up do not come back."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "operator").rglob("*.py"))
GLOSSARY = (ROOT / "docs/architecture.md").read_text().split("## Glossary")[1].split("## Style")[0]
# The last column of the table: what each term is not called.
NOT_CALLED = {
    word
    for line in GLOSSARY.splitlines()
    if line.startswith("| ")
    for word in line.rsplit("|", 2)[1].split()
    if word != "not"
}
GIVEN_UP = NOT_CALLED | {f"{word}s" for word in NOT_CALLED} | {"usually"}
# Of prose: words that no term needs.
NOT_WRITTEN = re.compile(r"\b(anew|twins?|rivals?|firings?|moments?)\b", re.IGNORECASE)
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]


@cache
def _words(name: str) -> set[str]:
    """Return the words of a name in snake or camel case."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def _names(tree: ast.Module) -> set[str]:
    """Return what a module names: classes, functions, arguments, variables, fields."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def test_no_name_of_the_product_is_a_word_that_the_glossary_gave_up() -> None:
    """A reader who knows the glossary knows the code."""
    # What no text of a module has is no name in it: most need not be parsed.
    written = re.compile("|".join(sorted(GIVEN_UP)), re.IGNORECASE)
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in SOURCES
        if written.search(f"{path.stem} {path.read_text()}")
        for name in {*_names(ast.parse(path.read_text())), path.stem}
        if _words(name) & GIVEN_UP
    }
    assert found == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_uses_a_word_that_the_glossary_gave_up(page: Path) -> None:
    """But the glossary, which names them."""
    glossary = re.compile(r"## Glossary\n.*?\n## ", re.DOTALL)
    text = glossary.sub("", page.read_text())
    assert [line for line in text.splitlines() if NOT_WRITTEN.search(line)] == []


def test_the_glossary_lists_what_is_refused() -> None:
    """The table is read, not passed over."""
    assert {"moment", "standing", "firing", "twin", "rival", "usual"} <= NOT_CALLED


# Of the ingest program, beside a type of the API.
STILL_TWO = {"Check", "Window"}


def test_a_name_of_a_class_is_the_name_of_one_class() -> None:
    """Whoever searches for a name finds what it is; what is on the list only gets off it."""
    found: dict[str, list[str]] = {}
    for path in SOURCES:
        for name in re.findall(r"^class (\w+)", path.read_text(), re.MULTILINE):
            found.setdefault(name, []).append(str(path.relative_to(ROOT)))
    assert {name: places for name, places in found.items() if len(places) > 1 and name not in STILL_TWO} == {}
    assert {name for name in STILL_TWO if len(found.get(name, ())) < 2} == set(), "these may go from the list"
