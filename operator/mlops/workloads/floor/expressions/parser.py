"""From an expression's text to its tree: a Pratt parser of a small part of SQL.

Precedences are those of sqlparser, whose dialect expressions were written in before. It knows columns, constants,
operators and calls; no SELECT, no window, no aggregate is in its grammar.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Final

from mlops.workloads.floor.expressions import intervals
from mlops.workloads.floor.expressions.cursor import Cursor
from mlops.workloads.floor.expressions.errors import Refusal
from mlops.workloads.floor.expressions.kinds import LEAST_INT, MOST_INT, TYPES
from mlops.workloads.floor.expressions.lexer import Token
from mlops.workloads.floor.expressions.syntax import Call, Constant, Name, Syntax
from mlops.workloads.floor.expressions.vocabulary import AGGREGATES, ARITIES, CHANCE, CLOCK, RESERVED, SUBQUERY

MAX_DEPTH = 100
TOO_DEEP = f"is nested more than {MAX_DEPTH} deep: split it into several features, or use brackets"

_OR, _AND, _NOT, _IS, _LIKE, _COMPARE, _PIPE, _AMPERSAND, _XOR, _PLUS, _TIMES, _CAST = (
    5, 10, 15, 17, 19, 20, 21, 23, 24, 30, 40, 50,
)  # fmt: skip
_BINARY: Final = {
    "or": _OR, "and": _AND, "=": _COMPARE, "==": _COMPARE, "<>": _COMPARE, "!=": _COMPARE, "<": _COMPARE,
    "<=": _COMPARE, ">": _COMPARE, ">=": _COMPARE, "<=>": _COMPARE, "|": _PIPE, "&": _AMPERSAND, "xor": _XOR,
    "+": _PLUS, "-": _PLUS, "*": _TIMES, "/": _TIMES, "%": _TIMES, "//": _TIMES, "||": _TIMES, "::": _CAST,
    "is": _IS, "in": _COMPARE, "between": _COMPARE, "like": _LIKE, "ilike": _LIKE, "regexp": _LIKE, "rlike": _LIKE,
    "~": _LIKE, "~*": _LIKE, "!~": _LIKE, "!~*": _LIKE, "~~": _LIKE, "~~*": _LIKE, "!~~": _LIKE, "!~~*": _LIKE,
    "^@": _LIKE,
}  # fmt: skip
# Several ways to write one operator; True: what it gives is negated.
_SAME_AS: Final = {
    "==": ("=", False), "!=": ("<>", False), "~~": ("like", False), "~~*": ("ilike", False), "!~~": ("like", True),
    "!~~*": ("ilike", True), "~": ("regexp", False), "!~": ("regexp", True), "~*": ("iregexp", False),
    "!~*": ("iregexp", True), "rlike": ("regexp", False), "^@": ("starts_with", False),
}  # fmt: skip
_AFTER_NOT: Final = {"in", "between", "like", "ilike", "regexp", "rlike"}


@lru_cache(maxsize=512)
def parse(text: str) -> Syntax:
    """Return the tree of an expression. Raises Refusal."""
    return _Parser(text).whole()


class _Parser(Cursor):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def whole(self) -> Syntax:
        tree = self._expression(0)
        if self.now.kind != "end":
            what = "closes nothing" if self.now.value == ")" else "is not expected here"
            raise Refusal(f"cannot be parsed: {self.now.written!r} {what}")
        return tree

    def _call(self, start: int, name: str, *operands: Syntax, option: str = "") -> Call:
        made = Call(name, operands, self.since(start), option)
        if made.depth > MAX_DEPTH:
            raise Refusal(TOO_DEEP)
        return made

    def _expression(self, binds: int) -> Syntax:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Refusal(TOO_DEEP)
        start = self.now.start
        left = self._prefix()
        while (strength := self._strength()) > binds:
            left = self._infix(start, left, strength)
        self._depth -= 1
        return left

    def _strength(self) -> int:
        if self.is_("not"):
            token = self.ahead
            return _BINARY[token.value] if token.kind == "word" and token.value in _AFTER_NOT else 0
        return _BINARY.get(self.now.value, 0) if self.now.kind in {"word", "sign"} else 0

    def _infix(self, start: int, left: Syntax, strength: int) -> Syntax:
        negated = self.take("not")
        name = self.next().value
        if name == "::":
            return self._call(start, "cast", left, option=self._type())
        if name == "is":
            return self._is_something(start, left)
        if name == "in":
            made: Syntax = self._call(start, "in", left, *self._bracketed())
        elif name == "between":
            low = self._expression(_COMPARE)
            self.expect("and")
            made = self._call(start, "between", left, low, self._expression(_COMPARE))
        else:
            name, opposite = _SAME_AS.get(name, (name, False))
            negated = negated or opposite
            right = self._expression(strength)
            option = self._escape() if name in {"like", "ilike"} else ""
            made = self._call(start, name, left, right, option=option)
        return self._call(start, "not", made) if negated else made

    def _escape(self) -> str:
        if not self.take("escape"):
            return ""
        token = self.next()
        if token.kind != "text" or len(token.value) != 1:
            raise Refusal("cannot be parsed: ESCAPE takes one character, such as '!'")
        return token.value

    def _is_something(self, start: int, left: Syntax) -> Syntax:
        negated = self.take("not")
        if self.take("distinct"):
            self.expect("from")
            made: Syntax = self._call(start, "<=>", left, self._expression(_COMPARE))
            negated = not negated
        else:
            word = self.next().value
            if word not in {"null", "true", "false", "unknown"}:
                raise Refusal("cannot be parsed: after IS comes NULL, TRUE, FALSE, UNKNOWN or DISTINCT FROM")
            made = self._call(start, f"is {'null' if word == 'unknown' else word}", left)
        return self._call(start, "not", made) if negated else made

    def _bracketed(self) -> list[Syntax]:
        self.expect("(")
        items: list[Syntax] = []
        if not self.take(")"):
            items.append(self._expression(0))
            while self.take(","):
                items.append(self._expression(0))
            self.expect(")")
        return items

    def _prefix(self) -> Syntax:
        token = self.next()
        match token.kind:
            case "number":
                return _number(token.written)
            case "text":
                return Constant("string", token.value, token.written)
            case "quoted":
                if self.is_("("):
                    raise Refusal(f"cannot be parsed: {token.written} is quoted, and no function")
                return self._column(token, token.value)
            case "word":
                return self._word(token)
            case "end":
                raise Refusal("cannot be parsed: it ends where a value is missing")
        return self._sign(token)

    def _sign(self, token: Token) -> Syntax:
        if token.value == "(":
            inner = self._expression(0)
            self.expect(")")
            # With its brackets, so that it can stand anywhere in what an error says to write.
            return replace(inner, text=self.since(token.start))
        if token.value in {"-", "+"}:
            if token.value == "-" and self.now.kind == "number" and self.ahead.value != "::":
                return _number("-" + self.next().written)
            operand = self._expression(_TIMES)
            return self._call(token.start, "negate" if token.value == "-" else "plus", operand)
        if token.value == "*":
            raise Refusal("cannot be parsed: * stands where a value is missing")
        raise Refusal(f"cannot be parsed: {token.written!r} is not expected here")

    def _column(self, token: Token, name: str) -> Syntax:
        if self.is_("."):
            raise Refusal(f"cannot be parsed: {token.written}. is not supported; a column has no table before it")
        return Name(name, token.written)

    def _word(self, token: Token) -> Syntax:
        word = token.value
        if word == "not":
            return self._call(token.start, "not", self._expression(_NOT))
        if word in {"true", "false"} and not self.is_("("):
            return Constant("boolean", word == "true", token.written)
        if word == "null":
            return Constant("null", None, token.written)
        if word == "case":
            return self._case(token.start)
        if word == "interval" and (self.now.kind in {"text", "number"}):
            return self._interval(token.start)
        if word in {"date", "timestamp", "datetime"} and self.now.kind == "text":
            written = self.next().value
            return Constant(*intervals.literal(word, written), self.since(token.start))
        if self.is_("("):
            return self._function(token)
        if word in SUBQUERY:
            raise Refusal("has a subquery, but must be computed row by row from the row's columns")
        if word in RESERVED:
            raise Refusal(f"cannot be parsed: {token.written!r} is not expected here")
        return self._column(token, token.written)

    def _interval(self, start: int) -> Syntax:
        token = self.next()
        words = token.value
        if self.now.kind == "word" and self.now.value in intervals.UNITS:
            words += " " + self.next().value
        months, microseconds = intervals.interval_of(words)
        kind, value = ("interval", (months, microseconds)) if months else ("duration", microseconds)
        return Constant(kind, value, self.since(start))  # type: ignore[arg-type]

    def _case(self, start: int) -> Syntax:
        operands = [] if self.is_("when") else [self._expression(0)]
        option = "switch" if operands else ""
        while self.take("when"):
            operands.append(self._expression(0))
            self.expect("then")
            operands.append(self._expression(0))
        if len(operands) < 2:
            raise Refusal("cannot be parsed: CASE has no WHEN")
        operands.append(self._expression(0) if self.take("else") else Constant("null", None, "NULL"))
        self.expect("end")
        return self._call(start, "case", *operands, option=option)

    def _function(self, token: Token) -> Syntax:
        name = token.value
        _check_called(name)
        special = {
            "cast": self._cast, "try_cast": self._cast, "extract": self._extract, "position": self._position,
            "trim": self._trim, "substring": self._substring, "normalize": self._normalize,
        }.get(name)  # fmt: skip
        if special is not None:
            self.expect("(")
            made = special(token.start, name)
        else:
            operands = self._bracketed()
            made = self._call(token.start, name, *operands)
        least, most = ARITIES[name]
        if not least <= len(made.operands) <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            raise Refusal(f"cannot be parsed: {name}() takes {wanted} arguments, here it has {len(made.operands)}")
        return made

    def _cast(self, start: int, name: str) -> Call:
        inner = self._expression(0)
        self.expect("as")
        option = self._type()
        self.expect(")")
        return self._call(start, name, inner, option=option)

    def _type(self) -> str:
        token = self.next()
        name = token.value
        if name == "double" and self.take("precision"):
            name = "double precision"
        if token.kind != "word" or name not in TYPES:
            known = "BIGINT, DOUBLE, VARCHAR, BOOLEAN, TIMESTAMP or DATE"
            raise Refusal(f"casts to {token.written or 'nothing'}, which is no type here: cast to {known}")
        if self.is_("("):
            raise Refusal(
                f"casts to a type with a size: write {token.written.upper()} without it, and left() or round()"
            )
        return name

    def _extract(self, start: int, name: str) -> Call:
        part = self.next().value
        self.expect("from")
        inner = self._expression(0)
        self.expect(")")
        return self._call(start, name, inner, option=part)

    def _position(self, start: int, name: str) -> Call:
        wanted = self._expression(_COMPARE)
        self.expect("in")
        within = self._expression(0)
        self.expect(")")
        return self._call(start, "strpos", within, wanted)

    def _trim(self, start: int, name: str) -> Call:
        sides = {"both": "trim", "leading": "ltrim", "trailing": "rtrim"}
        name = sides[self.next().value] if self.is_(*sides) else name
        first = self._expression(0)
        operands = (self._expression(0), first) if self.take("from") else (first,)
        if len(operands) == 1 and self.take(","):
            operands = (first, self._expression(0))
        self.expect(")")
        return self._call(start, name, *operands)

    def _substring(self, start: int, name: str) -> Call:
        operands: list[Syntax] = [self._expression(0)]
        if self.is_("for"):  # from the first letter on
            operands.append(Constant("int64", 1, "1"))
        while self.take(",", "from", "for"):
            operands.append(self._expression(0))
        self.expect(")")
        return self._call(start, name, *operands)

    def _normalize(self, start: int, name: str) -> Call:
        inner, form = self._expression(0), "nfc"
        if self.take(","):
            form = self.next().value
        self.expect(")")
        if form not in {"nfc", "nfd", "nfkc", "nfkd"}:
            raise Refusal("cannot be parsed: normalize() takes one of NFC, NFD, NFKC, NFKD")
        return self._call(start, name, inner, option=form)


def _check_called(name: str) -> None:
    if name in SUBQUERY:
        raise Refusal("has a subquery, but must be computed row by row from the row's columns")
    if name in CHANCE:
        raise Refusal(f"uses {name}(): a row must always give the same value")
    if name in CLOCK:
        raise Refusal(f"uses the clock ({name}): a row must always give the same value")
    if name not in ARITIES:
        what = "an aggregate, " if name in AGGREGATES else ""
        raise Refusal(
            f"is not computed row by row: it has {what}{name}(), which is not on the list of functions in "
            "docs/dataset.md"
        )


def _number(written: str) -> Constant:
    if set(written) <= set("-0123456789"):
        value = int(written)
        if not LEAST_INT <= value <= MOST_INT:
            near = float(written)
            way_out = f"write {near!r}" if near - near == 0 else "no number of 64 bits is as large"
            raise Refusal(f"has the number {written[:40]}, beyond int64 (-2^63 to 2^63 - 1): {way_out}")
        return Constant("int64", value, written)
    return Constant("float64", float(written), written)
