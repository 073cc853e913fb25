"""What a stored model takes and how it answers, read without the model itself."""

from __future__ import annotations

from typing import Final

from mlops.api.metrics import positive_last
from mlops.api.reasons import Reason
from mlops.store.artifacts import Store
from mlops.workloads.floor.model.signature import SIGNATURE_FILE, Signature, class_name, parse_signature
from mlops.workloads.floor.pod import BadInput

DESCRIPTION: Final = SIGNATURE_FILE


def signature_at(store: Store, artifact: str) -> Signature:
    """Read what the model at the digest `artifact` takes and how it answers. Raises BadInput (DataUnusable)."""
    return described(store.read_file(artifact, DESCRIPTION), artifact)


def described(content: bytes, artifact: str) -> Signature:
    """Return what the bytes of a model's description say. Raises BadInput (DataUnusable)."""
    try:
        return parse_signature(content)
    except BadInput as error:
        raise BadInput(Reason.DATA_UNUSABLE, f"{artifact}: {error.message}: train the model again") from error


def class_names(signature: Signature) -> tuple[str, ...]:
    """Return the classes as records have them, in the order that metrics read them: of two, the positive one last.

    Empty of a regression.
    """
    classes = [class_name(value) for value in signature.classes or ()]
    return positive_last(classes, None if signature.positive is None else class_name(signature.positive))
