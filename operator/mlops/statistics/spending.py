"""How the probability of a wrong decision is shared among the times that growing data are judged."""

from __future__ import annotations


def spent_at(alpha: float, number: int) -> float:
    """Return what the judgement of this number (from 1) may spend of `alpha`: alpha / (number (number + 1)).

    All shares together are alpha, however many there will be: the sum telescopes. So all of them are wrong at least
    once with a probability of at most alpha, however they depend on each other (Boole's inequality; such a division is
    an alpha spending of Lan and DeMets 1983, that of no plan of how often and when). Raises ValueError for a number
    below 1.
    """
    if number < 1:
        raise ValueError(f"number: is {number}, expected at least 1")
    return alpha / (number * (number + 1))
