"""No text of a nested document is passed over, and none makes the walk endless or too deep."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mlops.workloads.floor.model.nested import texts_in
from mlops.workloads.floor.model.skops_file import _texts

DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
)


def _by_recursion(document: Any) -> list[str]:
    if isinstance(document, str):
        return [document]
    parts = [*document.keys(), *document.values()] if isinstance(document, dict) else document
    return [text for one in parts for text in _by_recursion(one)] if isinstance(parts, list) else []


@given(DOCUMENTS)
def test_every_text_is_found_once(document: Any) -> None:
    assert sorted(texts_in(document)) == sorted(_by_recursion(document))


def test_a_document_of_any_depth_is_walked() -> None:
    document: Any = "deep"
    for _ in range(100_000):
        document = [document]
    assert list(texts_in(document)) == ["deep"]


@given(st.text(), st.integers(0, 3))
def test_a_value_that_a_skops_schema_holds_as_json_is_found(text: str, times: int) -> None:
    """Also one that was written as JSON several times."""
    written = text
    for _ in range(times):
        written = json.dumps(written)
    assert text in set(_texts({"content": [written]}))


def test_what_only_begins_like_json_is_a_text() -> None:
    assert list(_texts(['"unfinished'])) == ['"unfinished']
