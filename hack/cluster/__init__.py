"""A real one-node Kubernetes cluster on this machine: no Docker, no registry, nothing left behind (docs/cluster.md)."""
