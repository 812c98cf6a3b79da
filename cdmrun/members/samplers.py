"""Samplers of a teacher, and exact simulation of its reverse process."""

from __future__ import annotations

from cdmrun.registry import SamplerMember

_SAMPLER = "cdmrun.samplers.sampler"
_ORACLE = "cdmrun.samplers.exact_simulation"

MEMBERS = (
    SamplerMember(name="tau_leaping", implementation=f"{_SAMPLER}:tau_leaping_sampler"),
    SamplerMember(name="analytic", implementation=f"{_SAMPLER}:analytic_sampler"),
    SamplerMember(name="theta_trapezoidal", implementation=f"{_SAMPLER}:theta_trapezoidal_sampler", calls=2),
    SamplerMember(name="theta_rk2", implementation=f"{_SAMPLER}:theta_rk2_sampler", calls=2),
    SamplerMember(name="first_hitting", implementation=f"{_ORACLE}:FirstHitting", oracle=True, absorbing=True),
    SamplerMember(name="uniformization", implementation=f"{_ORACLE}:Uniformization", oracle=True, absorbing=False),
)
