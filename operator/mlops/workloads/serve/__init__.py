"""Serving one model version over the Open Inference Protocol v2."""
