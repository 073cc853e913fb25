"""Serving one model version over the Open Inference Protocol v2, and verifying one before it is served."""
