"""Parameters written as text: parsed, translated to the matrix, then judged by scikit-learn's own constraints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sklearn.utils._param_validation import InvalidParameterError

from mlops.api.estimators import PARAMS_PATH, wrong_name
from mlops.api.parameter_text import parse
from mlops.api.reasons import Reason
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.train.estimators import class_of
from mlops.workloads.train.positions import BY_POSITION, Meaning, translated

# In what scikit-learn says of a choice.
_CHOICES = re.compile(r"\{([^{}]*)\}")


def build(
    name: str,
    params: Mapping[str, str],
    seed: int,
    paths: Mapping[str, str] | None = None,
    meaning: Meaning | None = None,
) -> Any:
    """Return the unfitted estimator with these parameters.

    `paths` gives the field path of parameters that come from elsewhere than the estimator's params (a search).
    `meaning` is what names and positions of columns and classes mean; without it such parameters are left out, since
    nobody can judge them. Raises BadInput(ParameterInvalid) naming the parameter, its value and what is allowed.
    """
    cls = class_of(name)
    values: dict[str, Any] = {}
    for parameter, text in params.items():
        where = (paths or {}).get(parameter, f"{PARAMS_PATH}.{parameter}")
        if problem := wrong_name(name, parameter, text, where):
            raise BadInput(Reason.PARAMETER_INVALID, problem)
        if meaning is not None:
            values[parameter] = translated(parameter, text, parse(text), meaning, where)
        elif parameter not in BY_POSITION:
            values[parameter] = parse(text)
    estimator = cls(**values)
    fixed = {"random_state": seed, "n_jobs": 1}
    estimator.set_params(**{key: value for key, value in fixed.items() if key in cls._get_param_names()})
    judge(estimator, params, paths)
    return estimator


def judge(estimator: Any, params: Mapping[str, str], paths: Mapping[str, str] | None = None) -> None:
    """Ask scikit-learn what it takes; `params` are the texts behind the values. Raises BadInput(ParameterInvalid)."""
    try:
        estimator._validate_params()
    except InvalidParameterError as error:
        parameter = next((one for one in params if f"'{one}'" in str(error)), "")
        where = (paths or {}).get(parameter, f"{PARAMS_PATH}.{parameter}")
        said = _CHOICES.sub(_in_order, str(error))
        raise BadInput(Reason.PARAMETER_INVALID, f"{where}: {params.get(parameter)!r}: {said}") from error


def _in_order(choices: re.Match[str]) -> str:
    """Return a set of texts in one order: as scikit-learn writes it, it has another one in every process."""
    return "{" + ", ".join(sorted(choices[1].split(", "))) + "}"
