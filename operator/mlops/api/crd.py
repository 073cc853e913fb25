"""CustomResourceDefinitions from the types: structural schemas that an API server takes, one per kind.

Raises on what a structural schema cannot say, so that a type can never be laxer on the cluster than in Python.
Source of the rules: Kubernetes' "Specifying a structural schema" and apiextensions.k8s.io/v1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from mlops.api.base import GROUP, TEXT_RULES, VERSION, Model, Resource, Rule, TextRule
from mlops.api.kinds import KINDS, LONGEST_SHOWN, NAME_RULES, models_of

# Said as they are; everything else is translated or refused.
_KEPT = (
    "type",
    "description",
    "format",
    "enum",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
)
_SCALARS = (str, int, float, bool)


class NotStructural(TypeError):
    """A type says something that a structural schema cannot."""


def crd(kind: type[Resource]) -> dict[str, Any]:
    """Return the CustomResourceDefinition of `kind` as a plain dict in the YAML's shape."""
    name = kind.__name__
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": name,
                "listKind": f"{name}List",
                "plural": kind.plural,
                "singular": name.lower(),
                "shortNames": list(kind.short_names),
                "categories": ["mlops"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_column(column) for column in kind.columns],
                    "schema": {"openAPIV3Schema": _root(kind)},
                }
            ],
        },
    }


def crds() -> dict[str, dict[str, Any]]:
    """Return every CustomResourceDefinition by file name."""
    return {f"{GROUP}_{kind.plural}.yaml": crd(kind) for kind in KINDS.values()}


def _column(column: Any) -> dict[str, Any]:
    shown = {"name": column.name, "type": column.type, "jsonPath": column.json_path}
    return shown | ({"priority": column.priority} if column.priority else {})


def _root(kind: type[Resource]) -> dict[str, Any]:
    document = kind.model_json_schema(by_alias=True, mode="validation")
    models = {model.__name__: model for model in models_of(kind)}
    for model in models.values():
        for name, field in model.model_fields.items():
            if model is not kind and not field.description and issubclass(model, Model):
                raise NotStructural(f"{model.__name__}.{name} has no description: kubectl explain would be silent")
    translate = _Translator(document["$defs"], models)
    properties = document["properties"]
    return {
        "description": _first_line(kind),
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": translate.schema(properties["spec"], "spec"),
            # An object that no operator has seen yet: without this, whoever waits for it takes it for finished.
            "status": translate.schema(properties["status"], "status") | {"default": {"observedGeneration": -1}},
        },
        "x-kubernetes-validations": [_validation(rule) for rule in NAME_RULES],
    }


class _Translator:
    def __init__(self, definitions: Mapping[str, Any], models: Mapping[str, type[BaseModel]]) -> None:
        self.definitions, self.models = definitions, models

    def schema(self, source: Mapping[str, Any], path: str) -> dict[str, Any]:
        """Return the structural form of one JSON schema node; `path` is for error messages."""
        source = self._resolved(source, path)
        model = self.models.get(source.get("x-model", ""))
        if "properties" in source or model is not None:
            return self._object(source, model, path)
        result: dict[str, Any] = {}
        defaults: dict[str, Any] = {}
        for word, value in source.items():
            match word:
                case "title" | "x-model" | "additionalProperties" | "patternProperties" | "propertyNames":
                    pass
                case "const":
                    result["enum"] = [value]
                case "pattern":
                    result |= self._pattern(value, path)
                case "items":
                    result["items"] = self.schema(value, f"{path}[]")
                case "maxProperties" | "minProperties":
                    result[word] = value
                case "default":
                    defaults = self._default(value, path)
                case _ if word in _KEPT or word.startswith("x-kubernetes-"):
                    result[word] = value
                case _:
                    raise NotStructural(f"{path}: {word!r} has no place in a structural schema")
        result |= {"default": defaults["default"]} if "default" in defaults else {}
        if "said" in defaults and "description" in result:
            result["description"] += defaults["said"]
        if result.get("type") == "object":
            result |= self._map(source, path)
        if result.get("type") == "integer":
            result["format"] = "int64"
        if result.get("type") == "array" and self._is_conditions(source):
            result |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
        if "type" not in result:
            raise NotStructural(f"{path}: no type")
        return result

    def _default(self, value: Any, path: str) -> dict[str, Any]:
        """Return the default for the API server, or the words for it."""
        # It must not invent a status: what is not observed is absent.
        if not isinstance(value, _SCALARS) or path.startswith("status"):
            return {}
        if "[]" in path:
            # kubectl compares lists whole: with a default in an item each `kubectl apply` would be a change.
            return {"said": f" Default: {json.dumps(value)}."}
        return {"default": value}

    def _resolved(self, source: Mapping[str, Any], path: str) -> dict[str, Any]:
        """Inline a reference and collapse `anyOf [X, null]`, which is how pydantic says optional."""
        result = dict(source)
        if "anyOf" in result:
            options = [option for option in result.pop("anyOf") if option != {"type": "null"}]
            if len(options) != 1:
                raise NotStructural(f"{path}: one of several types")
            result = dict(options[0]) | {key: value for key, value in result.items() if value is not None}
        if "$ref" in result:
            name = result.pop("$ref").rsplit("/", 1)[1]
            description = result.get("description")
            result = {"x-model": name} | self.definitions[name] | result
            if description:
                result["description"] = description
        return result

    def _object(self, source: Mapping[str, Any], model: type[BaseModel] | None, path: str) -> dict[str, Any]:
        properties = source.get("properties", {})
        result: dict[str, Any] = {"type": "object", "description": source["description"].split("\n")[0]}
        if source.get("required"):
            result["required"] = sorted(source["required"])
        if properties:
            result["properties"] = {name: self.schema(node, f"{path}.{name}") for name, node in properties.items()}
        rules = getattr(model, "rules", ())
        if rules:
            result["x-kubernetes-validations"] = [_validation(rule) for rule in rules]
        return result

    def _pattern(self, pattern: str, path: str) -> dict[str, Any]:
        rules = TEXT_RULES.get(pattern)
        # The operator writes the status: rules there would only use up the schema's budget for CEL.
        if rules is None or path.startswith("status"):
            return {"pattern": pattern}
        # A rule's message tells what is wanted; a bare pattern would show the regular expression.
        return {"x-kubernetes-validations": [_of_text(rule) for rule in rules]}

    def _map(self, source: Mapping[str, Any], path: str) -> dict[str, Any]:
        values = source.get("additionalProperties")
        keys = source.get("patternProperties")
        if keys:
            ((pattern, values),) = keys.items()
            message = TEXT_RULES[pattern][0].message
            rule = {"rule": f'self.all(key, key.matches(r"{pattern}"))', "message": message}
            return {
                "additionalProperties": self.schema(values, f"{path}{{}}"),
                "x-kubernetes-validations": [rule],
            }
        if not isinstance(values, Mapping):
            raise NotStructural(f"{path}: an object of anything")
        return {"additionalProperties": self.schema(values, f"{path}{{}}")}

    def _is_conditions(self, source: Mapping[str, Any]) -> bool:
        return bool(source.get("items", {}).get("$ref") == "#/$defs/Condition")


# An API server names only the type of a bad value, so the message shows it.
_SHOWN = f"(self.size() > {LONGEST_SHOWN} ? self.substring(0, {LONGEST_SHOWN}) + '…' : self)"


def _of_text(rule: TextRule) -> dict[str, Any]:
    # The message stays for what the expression cannot show: a text with line breaks.
    shown = f"'\"' + {_SHOWN} + '\": ' + {json.dumps(rule.message, ensure_ascii=False)}"
    return {"rule": rule.cel, "message": rule.message, "messageExpression": shown}


def _validation(rule: Rule) -> dict[str, Any]:
    return {"rule": rule.cel, "message": rule.message}


def _first_line(kind: type[BaseModel]) -> str:
    return (kind.__doc__ or "").split("\n")[0]
