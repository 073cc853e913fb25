"""Regular expressions judged by their structure: is the time to refuse a text linear in its length?

Python's `re` tries one way after another. The time to refuse a text is exponential if a loop can read some word in two
ways (`(a|a)*`), and polynomial if one loop can hand over to another at any place of a word (`a*a*`): Weber and Seidl,
"On the degree of ambiguity of finite automata" (1991); Weideman et al., "Analyzing matching time behavior of
backtracking regular expression matchers by using ambiguity of NFA" (2016). A search that starts anywhere is a loop of
its own before the pattern.

An approximation on the safe side: a bounded repeat counts as unbounded, unless it is of single letters and short; back
references and looks behind are refused; what looks ahead is read as nothing.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from typing import Any

_parser: Any = importlib.import_module("re._parser")
_UNROLLED = 8
_CATEGORIES = {
    "CATEGORY_DIGIT": r"\d", "CATEGORY_NOT_DIGIT": r"\D", "CATEGORY_SPACE": r"\s",
    "CATEGORY_NOT_SPACE": r"\S", "CATEGORY_WORD": r"\w", "CATEGORY_NOT_WORD": r"\W",
}  # fmt: skip
_SAMPLES = "\x00\t\n !'()*/09:AZ_az~\x7f\xa0\xe9\u0660\u2028\uffff"


class TooHard(ValueError):
    """The pattern has what this analysis does not understand."""


@dataclass
class _Automaton:
    """Thompson's construction: states with free moves, and moves that read one letter of a set."""

    letters: str
    free: list[list[int]] = field(default_factory=list)
    reads: list[tuple[frozenset[str], int] | None] = field(default_factory=list)

    def state(self) -> int:
        self.free.append([])
        self.reads.append(None)
        return len(self.free) - 1

    def reading(self, letters: frozenset[str]) -> tuple[int, int]:
        start, end = self.state(), self.state()
        self.reads[start] = (letters, end)
        return start, end

    def ways(self, start: int) -> dict[int, int]:
        """Return how many free paths lead from `start` to each state that reads, or that reads no more."""
        found: dict[int, int] = {}

        def walk(state: int, path: frozenset[int]) -> None:
            if state in path:
                raise TooHard("a repeat of what may be empty")
            if self.reads[state] is not None or not self.free[state]:
                found[state] = found.get(state, 0) + 1
            for after in self.free[state]:
                walk(after, path | {state})

        walk(start, frozenset())
        return found


def _letters_of(tree: Any) -> set[int]:
    found: set[int] = set()
    todo = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, int) and not isinstance(node, bool) and type(node) is int:
            found |= {each for each in (node - 1, node, node + 1) if 0 <= each < 0x110000}
        elif isinstance(node, list | tuple) or type(node).__name__ == "SubPattern":
            todo.extend(node)
    return found


def _in_class(items: Any, letter: str) -> bool:
    hit, negate = False, False
    for name, value in items:
        match str(name):
            case "NEGATE":
                negate = True
            case "LITERAL":
                hit |= ord(letter) == value
            case "RANGE":
                hit |= value[0] <= ord(letter) <= value[1]
            case "CATEGORY":
                hit |= re.fullmatch(_CATEGORIES[str(value)], letter) is not None
            case other:
                raise TooHard(other)
    return hit != negate


class _Builder:
    def __init__(self, pattern: str, flags: int) -> None:
        tree = _parser.parse(pattern, flags)
        letters = "".join(sorted({*map(chr, _letters_of(tree)), *_SAMPLES}))
        self.automaton, self.ignore_case = _Automaton(letters), bool(tree.state.flags & re.IGNORECASE)
        self.start, self.end = self.sequence(tree)

    def some(self, test: Any) -> tuple[int, int]:
        chosen = frozenset(
            letter
            for letter in self.automaton.letters
            if test(letter) or (self.ignore_case and (test(letter.lower()) or test(letter.upper()[:1])))
        )
        return self.automaton.reading(chosen)

    def sequence(self, items: Any) -> tuple[int, int]:
        start = end = self.automaton.state()
        for name, value in items:
            first, last = self.item(str(name), value)
            self.automaton.free[end].append(first)
            end = last
        return start, end

    def item(self, name: str, value: Any) -> tuple[int, int]:
        match name:
            case "LITERAL":
                return self.some(lambda letter: ord(letter) == value)
            case "NOT_LITERAL":
                return self.some(lambda letter: ord(letter) != value)
            case "IN":
                return self.some(lambda letter: _in_class(value, letter))
            case "ANY":
                return self.some(lambda letter: letter != "\n")
            case "AT" | "ASSERT" | "ASSERT_NOT":
                if name != "AT" and value[0] < 0:
                    raise TooHard("a look behind")
                return self.sequence(())
            case "SUBPATTERN":
                return self.sequence(value[3])
            case "BRANCH":
                return self.branch([self.sequence(each) for each in value[1]])
            case "MAX_REPEAT" | "MIN_REPEAT":
                return self.repeat(*value)
        raise TooHard(name)

    def branch(self, options: list[tuple[int, int]]) -> tuple[int, int]:
        start, end = self.automaton.state(), self.automaton.state()
        for first, last in options:
            self.automaton.free[start].append(first)
            self.automaton.free[last].append(end)
        return start, end

    def repeat(self, least: int, most: int, body: Any) -> tuple[int, int]:
        free = self.automaton.free
        start = end = self.automaton.state()
        single = len(body) == 1 and str(body[0][0]) in {"LITERAL", "NOT_LITERAL", "IN", "ANY"}
        unrolled = most <= 1 or (most <= _UNROLLED and single)
        for _ in range(least if unrolled else min(least, 1)):
            first, last = self.sequence(body)
            free[end].append(first)
            end = last
        if unrolled:
            after = self.automaton.state()
            for _ in range(most - least):
                first, last = self.sequence(body)
                free[end] += [first, after]
                end = last
            free[end].append(after)
            end = after
        else:
            first, last = self.sequence(body)
            loop, after = self.automaton.state(), self.automaton.state()
            free[end].append(loop)
            free[loop] += [first, after]
            free[last].append(loop)
            end = after
        return start, end


@dataclass(frozen=True)
class _Graph:
    """States that read, with the letters that lead from one to the next and in how many ways."""

    letters: dict[int, frozenset[str]]
    after: dict[int, dict[int, int]]
    first: frozenset[int]
    # Where a match may end: what follows cannot make it fail any more.
    ends: frozenset[int]
    anywhere: int | None

    def reach(self, start: int) -> set[int]:
        seen: set[int] = set()
        todo = [start]
        while todo:
            for after in self.after[todo.pop()]:
                if after not in seen:
                    seen.add(after)
                    todo.append(after)
        return seen


@lru_cache(maxsize=4096)
def _graph(pattern: str, flags: int, search: bool) -> _Graph:
    built = _Builder(pattern, flags)
    automaton = built.automaton
    anywhere = None
    if search:
        anywhere, end = automaton.reading(frozenset(automaton.letters))
        automaton.free[end] += [anywhere, built.start]
    reading = {state: read for state, read in enumerate(automaton.reads) if read is not None}
    after = {
        state: {to: ways for to, ways in automaton.ways(read[1]).items() if to in reading}
        for state, read in reading.items()
    }
    first = {state for state in automaton.ways(built.start) if state in reading}
    ends = {state for state, read in reading.items() if built.end in _beside(automaton, state)}
    letters = {state: read[0] for state, read in reading.items()}
    return _Graph(letters, after, frozenset(first), frozenset(ends), anywhere)


def _beside(automaton: _Automaton, state: int) -> set[int]:
    """Return the states that are reached wherever `state` is, having read the same: in every step before it."""
    together: set[int] | None = None
    for start in [each for each, read in enumerate(automaton.reads) if read is not None]:
        _, end = automaton.reads[start] or (frozenset(), 0)
        there = _free(automaton, end)
        if state in there:
            together = there if together is None else together & there
    return together or set()


def _free(automaton: _Automaton, state: int) -> set[int]:
    seen, todo = {state}, [state]
    while todo:
        for after in automaton.free[todo.pop()]:
            if after not in seen:
                seen.add(after)
                todo.append(after)
    return seen


def ambiguity(pattern: str, flags: int = 0, *, search: bool = False) -> str | None:
    """Return why a text may take more than linear time, None if none can. `search`: it may begin anywhere."""
    try:
        graph = _graph(pattern, flags, search)
    except TooHard as error:
        return f"cannot be judged: {error}"
    reach = {state: graph.reach(state) for state in graph.letters}
    loops = [state for state in graph.letters if state in reach[state]]
    for state in loops:
        for after, ways in graph.after[state].items():
            if ways > 1 and state in reach[after]:
                return f"exponential: {ways} ways from one letter to the next within a loop"
    pairs = [(one, other) for one, other in product(loops, loops) if other in reach[one] and one != other]
    # The exponential ones first.
    for one, other in sorted(pairs, key=lambda pair: pair[0] not in reach[pair[1]]):
        if one == graph.anywhere and other in graph.ends:
            continue  # A search that got here has found something: it does not begin again at the next letter.
        if _hands_over(graph, reach, one, other):
            degree = "exponential" if one in reach[other] else "polynomial"
            return f"{degree}: two loops read the same text, {_word(graph, one)!r} again and again"
    return None


def _hands_over(graph: _Graph, reach: dict[int, set[int]], one: int, other: int) -> bool:
    """Return whether one word leads from `one` to itself, from `one` to `other`, and from `other` to itself.

    A state stands before the letter that it reads: all three read the same letter in each step.
    """
    start, goal = (one, one, other), (one, other, other)
    seen, todo = {start}, [start]
    while todo:
        at = todo.pop()
        if not frozenset.intersection(*(graph.letters[state] for state in at)):
            continue
        for to in product(*(graph.after[state] for state in at)):
            if to == goal:
                return True
            back = one in reach[to[0]] or one == to[0], other in reach[to[1]] or other == to[1]
            if to not in seen and all(back) and (other in reach[to[2]] or other == to[2]):
                seen.add(to)
                todo.append(to)
    return False


def _word(graph: _Graph, loop: int) -> str:
    """Return a word that leads from a state back to it."""
    came: dict[int, tuple[int, str]] = {}
    todo = [loop]
    while todo:
        at = todo.pop(0)
        for after in graph.after[at]:
            if after not in came:
                came[after] = (at, min(graph.letters[at], key=_plain, default="?"))
                todo.append(after)
    word, at = "", loop
    while True:
        at, letter = came[at]
        word = letter + word
        if at == loop:
            return word


def _plain(letter: str) -> tuple[bool, str]:
    return not (letter.isascii() and letter.isalnum()), letter


def adversaries(pattern: str, flags: int = 0, *, search: bool = False, length: int = 1000) -> Iterator[str]:
    """Yield texts that keep each loop of the pattern busy for `length` letters and then do not fit."""
    graph = _graph(pattern, flags, search)
    paths: dict[int, str] = dict.fromkeys(graph.first, "")
    todo = list(graph.first)
    while todo:
        at = todo.pop(0)
        for after in graph.after[at]:
            if after not in paths:
                paths[after] = paths[at] + min(graph.letters[at], key=_plain, default="?")
                todo.append(after)
    for state in graph.letters:
        if state in paths and state in graph.reach(state):
            word = _word(graph, state)
            for end in ("", "\x00", "\n", " ", "!"):
                yield paths[state] + word * (length // len(word)) + end
