"""Parameters written as text: parsed to scalars and lists, then judged by scikit-learn's own constraints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sklearn.utils._param_validation import InvalidParameterError

from mlops.api.reasons import Reason
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.train.estimators import RESERVED, class_of

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_WORDS: dict[str, Any] = {
    "true": True,
    "false": False,
    "null": None,
    "none": None,
    "~": None,
    "": None,
    "inf": float("inf"),
    ".inf": float("inf"),
}
_PATH = "spec.trainer.estimator.params"
# In what scikit-learn says of a choice.
_CHOICES = re.compile(r"\{([^{}]*)\}")


def parse(text: str) -> Any:
    """Return the scalar or the list of scalars that a parameter's text means, as YAML would; the rest is a string.

    Nothing is evaluated: `$(rm)`, `{{ }}` and `__import__` are strings like any other.
    """
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    if len(text) >= 2 and text[0] + text[-1] in ("[]", "()"):
        inner = text[1:-1].strip().rstrip(",")
        return [parse(one) for one in inner.split(",")] if inner else []
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text


def build(name: str, params: Mapping[str, str], seed: int, paths: Mapping[str, str] | None = None) -> Any:
    """Return the unfitted estimator with these parameters.

    `paths` gives the field path of parameters that come from elsewhere than the estimator's params (a search).
    Raises BadInput(ParameterInvalid) naming the parameter, its value and what is allowed.
    """
    cls = class_of(name)
    known = sorted(set(cls._get_param_names()) - set(RESERVED))
    for parameter, text in params.items():
        where = (paths or {}).get(parameter, f"{_PATH}.{parameter}")
        if parameter in RESERVED:
            raise BadInput(Reason.PARAMETER_INVALID, f"{where}: cannot be set: {RESERVED[parameter]}")
        if parameter not in known:
            raise BadInput(
                Reason.PARAMETER_INVALID,
                f"{where}: {name} has no parameter {parameter!r} (value {text!r}); it has: {', '.join(known)}",
            )
    estimator = cls(**{parameter: parse(text) for parameter, text in params.items()})
    fixed = {"random_state": seed, "n_jobs": 1}
    estimator.set_params(**{key: value for key, value in fixed.items() if key in cls._get_param_names()})
    try:
        estimator._validate_params()
    except InvalidParameterError as error:
        parameter = next((one for one in params if f"'{one}'" in str(error)), "")
        where = (paths or {}).get(parameter, f"{_PATH}.{parameter}")
        said = _CHOICES.sub(_in_order, str(error))
        raise BadInput(Reason.PARAMETER_INVALID, f"{where}: {params.get(parameter)!r}: {said}") from error
    return estimator


def _in_order(choices: re.Match[str]) -> str:
    """Return a set of texts in one order: as scikit-learn writes it, it has another one in every process."""
    return "{" + ", ".join(sorted(choices[1].split(", "))) + "}"
