"""The four kinds, their conditions, and the contract between the operator and the pods it starts.

This room is what both sides share: pydantic and the standard library only, no IO, no clock.
The CustomResourceDefinitions in `crds/` are generated from these types by `mlops.api.crd`.
"""
