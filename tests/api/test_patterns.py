"""Every regular expression of the product takes linear time, and means the same to all who read it."""

from __future__ import annotations

import ast
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from mlops.api.base import TEXT_RULES
from mlops.api.dataset import S3Source
from mlops.api.kinds import KINDS, InvalidObject, parse
from tests.api.objects import a_dataset
from tests.patterns import adversaries, ambiguity

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "operator").rglob("*.py"))
_WHOLE = {"match", "fullmatch"}
_ANYWHERE = {"search", "findall", "finditer", "sub", "subn", "split"}
LONG, SECONDS = 20_000, 2.0


@dataclass(frozen=True)
class Found:
    """One pattern and how it is used."""

    place: str
    pattern: str
    flags: int = 0
    search: bool = False


def _flags(node: ast.Call) -> int:
    named = [each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute) and each.attr.isupper()]
    return int(sum(getattr(re, name, 0) for name in named))


@cache
def _text(path: Path) -> str:
    return path.read_text()


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(_text(path))


def _uses(path: Path, name: str) -> set[str]:
    """Return the methods that are called on a compiled pattern; a private name is of its own module."""
    where = [path] if name.startswith("_") else [each for each in SOURCES if name in _text(each)]
    return {
        node.attr
        for each in where
        for node in ast.walk(_tree(each))
        if isinstance(node, ast.Attribute)
        and ((isinstance(node.value, ast.Name) and node.value.id == name)
             or (isinstance(node.value, ast.Attribute) and node.value.attr == name))
    }  # fmt: skip


def _in_sources() -> Iterator[Found]:
    # What has no "re." calls nothing of it, and need not be parsed.
    for path in (each for each in SOURCES if "re." in _text(each)):
        tree = _tree(path)
        names = {
            id(node.value): (node.targets[0] if isinstance(node, ast.Assign) else node.target)
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign | ast.AnnAssign)
        }
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
                continue
            if not (isinstance(node.func.value, ast.Name) and node.func.value.id == "re"):
                continue
            if node.func.attr not in {"compile", *_WHOLE, *_ANYWHERE}:
                continue
            first, place = node.args[0], f"{path.relative_to(ROOT)}:{node.lineno}"
            if not (isinstance(first, ast.Constant) and isinstance(first.value, str | bytes)):
                # The two in api/base.py are built of what TEXT_RULES holds, and that of times of the bounded words in
                # ingest/times.py, asked of one text only; anything else must be a plain text.
                built = path.name in ("base.py", "time_parts.py")
                assert built, f"{place}: write the pattern as one text, so that it can be judged"
                continue
            uses = {node.func.attr}
            if node.func.attr == "compile":
                target = names[id(node)]
                assert isinstance(target, ast.Name), place
                uses = _uses(path, target.id)
                assert uses & (_WHOLE | _ANYWHERE), f"{place}: {target.id} is never used"
            flags, pattern = _flags(node), first.value
            if isinstance(pattern, bytes):
                # Of octets classes and cases are those of ASCII; each octet is one letter of Latin-1.
                flags, pattern = flags | re.ASCII, pattern.decode("latin-1")
            yield Found(place, pattern, flags, search=bool(uses & _ANYWHERE))


def _values(node: Any, key: str) -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            if name == key and isinstance(value, str):
                yield value
            yield from _values(value, key)
    elif isinstance(node, list):
        for each in node:
            yield from _values(each, key)


def _in_definitions() -> Iterator[Found]:
    for path in sorted((ROOT / "crds").glob("*.yaml")):
        document = yaml.safe_load(path.read_text())
        found = {*_values(document, "pattern")}
        for rule in _values(document, "rule"):
            quoted = re.findall(r'matches\(r"([^"]*)"\)', rule)
            assert len(quoted) == rule.count("matches("), rule
            found |= {*quoted}
        for pattern in sorted(found):
            yield Found(path.name, pattern)


def _in_the_chart() -> Iterator[Found]:
    for path in sorted((ROOT / "charts").rglob("values.schema.json")):
        for pattern in sorted({*_values(json.loads(path.read_text()), "pattern")}):
            yield Found(path.name, pattern)


def _in_types() -> Iterator[Found]:
    for kind in KINDS.values():
        for pattern in sorted({*_values(kind.model_json_schema(), "pattern")}):
            yield Found(kind.__name__, pattern)
    for pattern in TEXT_RULES:
        yield Found("api/base.py", pattern)


SOURCED, DEFINED, CHARTED = list(_in_sources()), list(_in_definitions()), list(_in_the_chart())
SHARED = [*DEFINED, *CHARTED, *_in_types()]
ALL = list({(each.pattern, each.flags, each.search): each for each in [*SHARED, *SOURCED]}.values())


def _cases(found: list[Found]) -> list[Any]:
    return [pytest.param(each, id=f"{each.place} {each.pattern[:40]}") for each in found]


def test_patterns_are_found_in_every_place() -> None:
    """A test that finds nothing would hold always."""
    assert len(SOURCED) >= 25
    assert len(DEFINED) >= 30
    assert len(CHARTED) >= 15
    assert len(TEXT_RULES) >= 15


@pytest.mark.parametrize("found", _cases(ALL))
def test_no_text_takes_more_than_linear_time(found: Found) -> None:
    """By the pattern's structure: no two ways to read one text."""
    assert ambiguity(found.pattern, found.flags, search=found.search) is None


@pytest.mark.parametrize("found", _cases(ALL))
def test_a_text_that_keeps_a_pattern_busy_is_refused_in_time(found: Found) -> None:
    """By the clock: each doubling of the text, up to 20,000 letters. A length that takes too long ends the test."""
    compiled = re.compile(found.pattern, found.flags)
    length = 16
    while length <= LONG:
        for text in adversaries(found.pattern, found.flags, search=found.search, length=length):
            start = time.monotonic()
            list(compiled.finditer(text)) if found.search else compiled.fullmatch(text)
            assert time.monotonic() - start < SECONDS, (length, text[:80])
        length *= 2


@pytest.mark.parametrize("pattern", sorted({each.pattern for each in SHARED if each.place != "values.schema.json"}))
def test_a_pattern_means_the_same_to_python_rust_and_the_api_server(pattern: str) -> None:
    r"""No \s, \d or \w (Unicode in Python and Rust, ASCII in RE2), no look-around, no flag; anchored at both ends."""
    assert not re.search(r"\\[sSdDwWbBAZzpPQ]", pattern)
    assert not re.search(r"\(\?(?!:)", pattern)
    assert not re.search(r"[*+?}][+?]", pattern)
    if pattern.startswith("^"):
        assert pattern.endswith("$")
        inner = re.sub(r"\\.|\[\^?[^]]*\]", "", pattern[1:-1])
        assert "^" not in inner
        assert "$" not in inner
        assert "." not in inner
    repeats = [int(most) for most in re.findall(r"\{\d+,(\d+)\}", pattern)]
    assert max(repeats, default=0) <= 1000, "RE2 takes no more"


@pytest.mark.parametrize(
    ("pattern", "search", "says"),
    [
        pytest.param(r"^s3://[a-z]+/(?:[a-z!][a-z.!]*/?)+$", False, "exponential", id="the S3 URI as it was"),
        pytest.param(r"(a*)*b", False, "may be empty", id="star of a star"),
        pytest.param(r"(a+)+b", False, "exponential", id="plus of a plus"),
        pytest.param(r"(a|a)*b", False, "exponential", id="equal alternatives"),
        pytest.param(r"(a|ab|b)*c", False, "exponential", id="alternatives that overlap"),
        pytest.param(r"((a?)?b)*c", False, "exponential", id="two ways to be empty"),
        pytest.param(r"(\w|[a-f]x?)*!", False, "exponential", id="classes that overlap"),
        pytest.param(r"([0-9]{1,6}){1,9}x", False, "exponential", id="bounded repeats of bounded repeats"),
        pytest.param(r"[0-9]+\.?[0-9]*", False, "polynomial", id="a number with an optional point"),
        pytest.param(r"a*b?a*c", False, "polynomial", id="two stars side by side"),
        pytest.param(r".*,.*,.*;", False, "polynomial", id="three dots"),
        pytest.param(r"[0-9]+x", True, "polynomial", id="a search that begins at every digit"),
        pytest.param(r"\[\?\([^]]*\)\]", True, "polynomial", id="a search that begins at every bracket"),
        pytest.param(r"(a)\1", False, "cannot be judged", id="back reference"),
        pytest.param(r"(?<=a)b", False, "cannot be judged", id="look behind"),
    ],
)
def test_the_analysis_finds_what_is_planted(pattern: str, search: bool, says: str) -> None:
    assert says in (ambiguity(pattern, search=search) or "linear")


@pytest.mark.parametrize(
    ("pattern", "search"),
    [
        pytest.param(r"[a-z]([a-z-]*[a-z])?", False, id="a label"),
        pytest.param(r"[a-z]+(,[a-z]+)*", False, id="a list"),
        pytest.param(r"'[^']*'?|[a-z]+", True, id="a token"),
        pytest.param(r"(a|b)*abb", False, id="a deterministic tail"),
    ],
)
def test_the_analysis_lets_linear_patterns_through(pattern: str, search: bool) -> None:
    assert ambiguity(pattern, search=search) is None


@pytest.mark.parametrize("uri", ["s3://bucket/" + "a" * 60 + " b", "s3://bucket/" + "a/" * 500 + " ", "s3://b" * 100])
def test_an_s3_uri_with_a_blank_is_refused_at_once(uri: str) -> None:
    """It took minutes for 40 letters before a blank."""
    start = time.monotonic()
    manifest = a_dataset()
    manifest["spec"]["source"] = {"s3": {"uri": uri}}
    with pytest.raises(InvalidObject, match="the form is s3://bucket/key"):
        parse(manifest)
    assert time.monotonic() - start < SECONDS


@pytest.mark.parametrize("key", ["a", "a/", "a/b", "a/b/", "2026.csv.gz", "a=b/c_d-e!'()*+,@.x/f", "a." + "b" * 900])
def test_keys_that_were_allowed_are(key: str) -> None:
    assert S3Source(uri=f"s3://raw/{key}").uri.endswith(key)


@pytest.mark.parametrize("key", ["", "/", "a//b", ".a", "a/.b", "../a", "a/../b", "a%2e", "a\\b", "a b", "a\n", "ä"])
def test_keys_that_were_refused_are(key: str) -> None:
    with pytest.raises(ValidationError):
        S3Source(uri=f"s3://raw/{key}")
