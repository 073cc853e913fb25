"""`mlops init`: what a delivery holds, found by reading all of it, written down as manifests that run."""
