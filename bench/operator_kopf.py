"""What a user would write instead of an operator: a kopf handler that makes one Job per object, and notes its end.

    KUBECONFIG=... python bench/operator_kopf.py JOB_FILE

JOB_FILE holds the Job as JSON; its name and that of its owner are filled in.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import kopf
import kubernetes

GROUP, VERSION, PLURAL = "bench.mlops.dev", "v1", "runs"
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"{PLURAL}.{GROUP}"},
    "spec": {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {"plural": PLURAL, "singular": "run", "kind": "Run"},
        "versions": [
            {
                "name": VERSION,
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


def main() -> None:
    """Run until a signal comes."""
    kubernetes.config.load_kube_config()
    jobs, objects = kubernetes.client.BatchV1Api(), kubernetes.client.CustomObjectsApi()
    template = json.loads(Path(sys.argv[1]).read_text())

    @kopf.on.create(GROUP, VERSION, PLURAL)
    def create(body: kopf.Body, name: str, namespace: str, patch: kopf.Patch, **_: object) -> None:
        job = {**template, "metadata": {"name": name, "labels": template["metadata"]["labels"]}}
        kopf.adopt(job, owner=body)
        jobs.create_namespaced_job(namespace, job)
        patch.status["phase"] = "Running"

    @kopf.on.field("batch", "v1", "jobs", field="status.succeeded", new=1)
    def finished(name: str, namespace: str, **_: object) -> None:
        change: dict[str, Any] = {"status": {"phase": "Succeeded"}}
        objects.patch_namespaced_custom_object_status(GROUP, VERSION, namespace, PLURAL, name, change)

    kopf.run(standalone=True, namespaces=["default"])


if __name__ == "__main__":
    main()
