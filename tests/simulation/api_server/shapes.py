"""How values of a kind merge: the types that server-side apply and the ownership of fields go by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class Type:
    """A scalar, a struct (known fields), a map (any keys), a list, or `any` (what it holds is not described).

    `atomic`: replaced as a whole. A list is atomic, a set of scalars (`keys` empty), or a map by the values of `keys`.
    `check` tells the JSON type of a scalar: string, number, boolean; empty for any of them.
    """

    shape: str
    atomic: bool = False
    fields: dict[str, Type] = field(default_factory=dict)
    element: Type | None = None
    keys: tuple[str, ...] = ()
    # Values of keys that an item may leave out.
    key_defaults: dict[str, Any] = field(default_factory=dict)
    check: str = ""
    # Whether it is owned as a whole.
    leaf: bool = field(init=False)

    def __post_init__(self) -> None:
        self.leaf = self.atomic or self.shape == "scalar"


STRING = Type("scalar", check="string")
NUMBER = Type("scalar", check="number")
BOOLEAN = Type("scalar", check="boolean")
UNTYPED = Type("scalar")
ANY = Type("any")
