"""Forward processes."""

from __future__ import annotations

from cdmrun.registry import ProcessMember

MEMBERS = (
    ProcessMember(name="uniform", implementation="cdmrun.processes.interpolating:Uniform"),
    ProcessMember(name="absorbing", implementation="cdmrun.processes.interpolating:Absorbing"),
    ProcessMember(name="matrix", implementation="cdmrun.processes.named:matrix"),
    ProcessMember(name="hky85", implementation="cdmrun.processes.named:hky85"),
    ProcessMember(name="gaussian", implementation="cdmrun.processes.named:gaussian", local=True),
    ProcessMember(name="birth_death", implementation="cdmrun.processes.named:birth_death", local=True),
    ProcessMember(name="block", implementation="cdmrun.processes.named:block"),
)
