"""What an answer of the API server means for whoever asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from mlops.cluster.client import Client
from mlops.cluster.connection import Connection
from mlops.cluster.metrics import OperatorMetrics
from mlops.engine.cluster import ClusterError, Ending, Invalid, NotAllowed, Refused, Unavailable
from mlops.planning.plan import Key, Manifest

JOB = Key("Job", "team", "train")


class Server(Client):
    """A client whose server always answers the same."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(Connection(Path("/nowhere")), OperatorMetrics())
        self._answer = status, {}, {"message": message}

    async def _send(self, *_: object) -> tuple[int, Mapping[str, str], Manifest]:
        return self._answer


@pytest.mark.parametrize(
    ("message", "want"),
    [
        pytest.param(
            'jobs.batch "train" is forbidden: exceeded quota: team, requested: count/jobs.batch=1, used: '
            "count/jobs.batch=2, limited: count/jobs.batch=2",
            Refused,
            id="quota",
        ),
        pytest.param('admission webhook "policy.example" denied the request: no', Refused, id="webhook"),
        pytest.param(
            'jobs.batch is forbidden: User "operator" cannot create resource "jobs" in API group "batch"',
            NotAllowed,
            id="no permission",
        ),
        pytest.param(
            'jobs.batch "train" is forbidden: unable to create new content in namespace team because it is being '
            "terminated",
            Ending,
            id="namespace on its way out",
        ),
    ],
)
async def test_a_refusal_for_the_objects_sake_is_told_from_a_lack_of_permission(
    message: str, want: type[ClusterError]
) -> None:
    """The one belongs into the owner's status; the other is tried again like an outage; and what a namespace that goes
    refuses is nobody's trouble."""
    with pytest.raises(want, match="403"):
        await Server(403, message).request(JOB, "POST", "/apis/batch/v1/namespaces/team/jobs", {})


@pytest.mark.parametrize(
    ("status", "message", "want"),
    [
        pytest.param(
            422,
            "jobs.batch \"train\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
            Refused,
            id="a policy, by default",
        ),
        pytest.param(422, 'Job.batch "train" is invalid: spec.template: Required value', Invalid, id="invalid"),
        pytest.param(
            500,
            'Internal error occurred: failed calling webhook "policy.example": connect: connection refused',
            NotAllowed,
            id="a webhook that does not answer",
        ),
        pytest.param(500, "Internal error occurred: etcdserver: leader changed", Unavailable, id="an outage"),
    ],
)
async def test_what_may_change_by_itself_is_told_from_what_is_final(
    status: int, message: str, want: type[ClusterError]
) -> None:
    """A policy may say otherwise tomorrow; what is invalid stays so."""
    with pytest.raises(ClusterError) as raised:
        await Server(status, message).request(JOB, "POST", "/apis/batch/v1/namespaces/team/jobs", {})
    assert type(raised.value) is want
