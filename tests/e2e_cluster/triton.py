"""An HTTP client of the Open Inference Protocol that was not written here."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    # Its dependencies patch and warn at import; what counts is what it says on the wire.
    warnings.simplefilter("ignore")
    import tritonclient.http as triton

__all__ = ["triton"]
