"""A mypy plugin: `evolve` of a model takes the fields of the model that it is called on, by name and type.

The fields are declared once, on the model. Without the plugin `evolve` would take any keyword, and a misspelt one would
pass; `tests/api/test_evolve.py` holds mypy to it.
"""

from __future__ import annotations

from collections.abc import Callable

from mypy.nodes import ARG_NAMED_OPT, TypeInfo, Var
from mypy.plugin import MethodSigContext, Plugin
from mypy.types import AnyType, FunctionLike, Instance, Type, TypeOfAny, TypeVarType, get_proper_type

_METHOD, _OF = "evolve", ("mlops.api.base.Model", "mlops.api.environment.Variables")
# Where pydantic's own plugin keeps the fields of a model.
_METADATA = "pydantic-mypy-metadata"


class EvolvePlugin(Plugin):
    """Gives the method its signature."""

    def get_method_signature_hook(self, fullname: str) -> Callable[[MethodSigContext], FunctionLike] | None:
        """Return the hook for methods of that name; whose it is, is told by the type that it is called on."""
        return _signature if fullname.endswith(f".{_METHOD}") else None


def _signature(context: MethodSigContext) -> FunctionLike:
    model = get_proper_type(context.type)
    if isinstance(model, TypeVarType):
        model = get_proper_type(model.upper_bound)
    if not isinstance(model, Instance) or not _is_ours(model.type):
        return context.default_signature
    fields = {name: _type_of(model.type, name) for name in model.type.metadata.get(_METADATA, {}).get("fields", ())}
    return context.default_signature.copy_modified(
        arg_types=list(fields.values()), arg_names=list(fields), arg_kinds=[ARG_NAMED_OPT] * len(fields)
    )


def _is_ours(model: TypeInfo) -> bool:
    owner = model.get_containing_type_info(_METHOD)
    return owner is not None and owner.fullname in _OF


def _type_of(model: TypeInfo, field: str) -> Type:
    symbol = model.get(field)
    declared = symbol.node.type if symbol is not None and isinstance(symbol.node, Var) else None
    return declared if declared is not None else AnyType(TypeOfAny.special_form)


def plugin(version: str) -> type[Plugin]:
    """Return the plugin; mypy calls this."""
    return EvolvePlugin
