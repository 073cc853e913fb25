"""What a reason means stands in one table, and the table is what the code can say: no more and no less."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from mlops.api.reasons import ALL, REASONS, Explanation, Reason, Trait, explain, having, of_kind
from mlops.store.errors import StoreError
from tests.api import produced
from tests.planning import any_world
from tests.planning.any_cluster import Seen

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reasons.md").read_text()
# What a way out may begin with: it tells a person what to do.
VERBS = {
    *("Check", "Correct", "Delete", "Deliver", "Edit", "Empty", "Free", "Give", "Make", "Mend", "Name", "Read"),
    *("Rename", "Restore", "See", "Send", "Serve", "Set", "Start", "Train", "Use", "Wait", "Write"),
}


@pytest.mark.parametrize("kind", ALL)
def test_every_reason_that_the_code_can_produce_is_explained_and_no_other(kind: str) -> None:
    """Whoever meets a reason finds it; whoever reads the page reads of nothing that cannot happen."""
    can = produced.produced(kind)
    listed = {each.reason for each in of_kind(kind)}
    unexplained, unsaid = {reason: can[reason] for reason in can.keys() - listed}, sorted(listed - can.keys())
    assert not unexplained, f"api/reasons.py does not explain of {kind}: {unexplained}"
    assert not unsaid, f"nothing says of {kind}: {', '.join(unsaid)}"


def test_every_member_is_explained() -> None:
    """A word alone helps nobody."""
    assert [reason for reason in Reason if not reason.explanations] == []


def test_every_error_of_the_store_has_a_reason_named_like_it() -> None:
    """Whoever reads a log and whoever reads a condition read the same word."""
    assert [error for error in StoreError.__subclasses__() if error.reason != error.__name__] == []


def test_a_reason_has_one_explanation_per_kind() -> None:
    """Two would contradict each other sooner or later."""
    pairs = Counter((kind, each.reason) for each in REASONS for kind in each.kinds)
    assert [pair for pair, count in pairs.items() if count > 1] == []


@pytest.mark.parametrize(
    "each", [pytest.param(each, id=f"{each.kinds[0]} {each.reason}") for each in REASONS if "False" in each.ready]
)
def test_whoever_is_not_ready_is_told_what_to_do(each: Explanation) -> None:
    """Every reason with which Ready may be False has a way out that begins with what to do."""
    assert each.way_out.split(" ")[0].rstrip(".,;:") in VERBS, each.way_out
    assert each.way_out.endswith(".")


@pytest.mark.parametrize("each", [pytest.param(each, id=f"{each.kinds[0]} {each.reason}") for each in REASONS])
def test_texts_are_sentences(each: Explanation) -> None:
    """They are read by people, one after the other."""
    assert each.meaning[0].isupper() or each.meaning.startswith(("spec.", "guard.", "model.json", "scikit-learn"))
    assert each.meaning.endswith(".")
    assert each.ready or each.conditions
    assert re.fullmatch(r"[A-Z][A-Za-z0-9]*", each.reason)


def test_the_page_holds_every_explanation() -> None:
    """docs/reasons.md is what the table says (`make check` compares it to the letter)."""
    for each in REASONS:
        assert f"**`{each.reason}`**" in PAGE
    assert len(re.findall(r"^- \*\*`", PAGE, re.MULTILINE)) == len(REASONS)


def test_explanations_are_found_in_any_writing() -> None:
    """Whoever types a reason need not care for capitals."""
    assert [each.kinds for each in explain("oomkilled")] == [(kind,) for kind in ALL]
    assert explain("NoSuchReason") == ()


@pytest.mark.thorough
def test_what_planners_say_is_where_the_table_says() -> None:
    """Ready and the other conditions have a planner's reason only as explained: random clusters from nothing on."""
    seen = Seen()
    for seed in range(60):
        any_world.live(Random(seed), objects=4, moves=2, seen=seen, fresh=True)
    wrong = []
    for kind, type_, status, reason in seen.conditions:
        (each,) = [each for each in explain(reason) if kind in each.kinds] or [None]
        # Reasons that pods report may be any, also such as the planner has for something else.
        if each is None or any(where.startswith("mlops.workloads") for where in produced.produced(kind)[reason]):
            continue
        fine = {"Ready": status in each.ready, "Reconciling": True, "Stalled": "False" in each.ready}
        if not fine.get(type_, type_ in each.conditions):
            wrong.append((kind, type_, status, reason))
    assert not sorted(wrong)


@pytest.mark.parametrize("trait", [pytest.param(trait, id=trait.name) for trait in Trait])
def test_every_trait_is_of_some_reason_and_read_by_somebody(trait: Trait) -> None:
    """A trait that nobody reads would be a promise that nothing keeps."""
    assert having(trait)
    product = Path(__file__).resolve().parents[2] / "operator" / "mlops"
    readers = [path for path in product.rglob("*.py") if f"having(Trait.{trait.name})" in path.read_text()]
    assert readers, f"nothing reads Trait.{trait.name}"


def test_no_set_of_reasons_is_written_in_words_where_planners_and_engine_judge() -> None:
    """What is concluded from a reason is a trait of its member: a word that is renamed leaves nothing behind."""
    product = Path(__file__).resolve().parents[2] / "operator" / "mlops"
    words, found = {str(reason) for reason in Reason}, []
    for path in (*(product / "planning").rglob("*.py"), *(product / "engine").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Set):
                texts = [each.value for each in ast.walk(node) if isinstance(each, ast.Constant)]
                found += [f"{path.relative_to(product)}:{node.lineno}: {text}" for text in texts if text in words]
    assert not found
