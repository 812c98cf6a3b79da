"""Objectives: how a student is distilled."""

from __future__ import annotations

from cdmrun.registry import ObjectiveMember

MEMBERS = (
    ObjectiveMember(name="cdm", implementation="cdmrun.stages.distill:conditional_matching"),
    ObjectiveMember(name="progressive", implementation="cdmrun.stages.distill:progressive"),
)
