"""Approval by people: what a stage asks for, and what somebody gave."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mlops.api.base import Digest, Model, StageName, Text, Timestamp, text

# Of a user or a group, as whoever authenticates requests names them.
Identity = Annotated[
    str,
    text(
        r"^[^\x00-\x20\x7f]([^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?$",
        "the name of a user or a group begins and ends with no space, and has no control characters",
        253,
    ),
]


class ApprovalRule(Model):
    """Who has to approve of a version before it serves in a stage."""

    required: bool = Field(default=True, description="False: nobody has to.")
    group: Identity = Field(description="The group that whoever approves is in, as the API server knows it.")
    not_author: bool = Field(
        default=True, description="Whoever approves is none of the version's authors (annotation mlops.dev/authors)."
    )


class Approval(Model):
    """That somebody approves of a model in a stage."""

    stage: StageName = Field(description="The stage.")
    artifact: Digest = Field(description="The model that is approved: of any other this says nothing.")
    user: Identity = Field(description="Who approves: nobody can write another name than their own.")
    note: Text = Field(default="", description="Why, or what was looked at.")
    time: Timestamp | None = Field(default=None, description="When, as whoever approves says.")
