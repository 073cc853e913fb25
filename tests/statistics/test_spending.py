"""All judgements together spend alpha, however many there are."""

from __future__ import annotations

import pytest

from mlops.statistics.spending import spent_at


def test_all_judgements_together_spend_no_more_than_alpha() -> None:
    """The first half of it, a hundred of them nearly all."""
    spent = [spent_at(0.05, number) for number in range(1, 101)]
    assert spent[0] == pytest.approx(0.025)
    assert sum(spent) == pytest.approx(0.05 * 100 / 101)


def test_judgements_are_counted_from_one() -> None:
    with pytest.raises(ValueError, match="number: is 0, expected at least 1"):
        spent_at(0.05, 0)
