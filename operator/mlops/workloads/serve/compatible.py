"""Whether a version can answer the requests of another one, in its form."""

from __future__ import annotations

from mlops.workloads.serve.model_description import ModelDescription

_WAY_OUT = "requests of a stage are answered by both versions: serve it there without canary and shadow"


def incompatibility(stable: ModelDescription, candidate: ModelDescription) -> str | None:
    """Return why the candidate could not answer some valid request of the stable version, or would in another form.

    It names the field or output; None if it can. It may take fewer inputs. Which rows a version refuses for their
    values (what training left out, numbers beyond an engine's) is not known before it is asked.
    """
    found = _of_inputs(stable, candidate) or _of_outputs(stable, candidate)
    return found and f"{found}; {_WAY_OUT}"


def _of_inputs(stable: ModelDescription, candidate: ModelDescription) -> str | None:
    old, new = stable.interface.version, candidate.interface.version
    types = {column.name: column.type for column in stable.interface.inputs}
    for column in candidate.interface.inputs:
        name = column.name
        if name not in types:
            return f"input {name!r} of version {new} is none of version {old}, so that requests do not have it"
        if column.type != types[name]:
            return f"input {name!r} is {column.type} in version {new} and {types[name]} in version {old}"
        if name in stable.optional and name not in candidate.optional:
            return f"input {name!r} may be missing in requests of version {old}, and not in those of version {new}"
    return None


def _of_outputs(stable: ModelDescription, candidate: ModelDescription) -> str | None:
    old, new = stable.interface, candidate.interface
    if old.classes != new.classes:
        return f"output 'prediction' has the classes {_listed(new.classes)} in version {new.version} and " + (
            f"{_listed(old.classes)} in version {old.version}"
        )
    if old.outputs != new.outputs:
        return f"version {new.version} answers {_outputs(new.outputs)}, version {old.version} {_outputs(old.outputs)}"
    return None


def _listed(classes: tuple[bool | int | str, ...]) -> str:
    first = ", ".join(repr(one) for one in classes[:10])
    return f"[{first}{', ...' if len(classes) > 10 else ''}]"


def _outputs(outputs: tuple[tuple[str, str, int], ...]) -> str:
    return ", ".join(f"{name!r} ({datatype})" for name, datatype, _ in outputs)
