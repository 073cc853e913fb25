"""What a pod that does not start waits for: words of Kubernetes, and the reasons that say them."""

from __future__ import annotations

from mlops.api.reasons import Reason

# What the kubelet calls it, and what we call it.
WAITING = {
    "ImagePullBackOff": Reason.IMAGE_PULL,
    "ErrImagePull": Reason.IMAGE_PULL,
    "ErrImageNeverPull": Reason.IMAGE_PULL,
    "InvalidImageName": Reason.IMAGE_PULL,
    "CreateContainerConfigError": Reason.CONTAINER_CONFIG,
    "CreateContainerError": Reason.CONTAINER_CONFIG,
    "RunContainerError": Reason.CONTAINER_CONFIG,
}
UNSCHEDULABLE = Reason.UNSCHEDULABLE
NOT_STARTED = frozenset({*WAITING.values(), UNSCHEDULABLE})
