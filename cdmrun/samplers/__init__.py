"""Samplers: explicit transition kernels walked down a time grid."""

from cdmrun.samplers.exact_simulation import FirstHitting, Uniformization
from cdmrun.samplers.kernels import Analytic, FactorizedKernel, TransitionKernel
from cdmrun.samplers.sampler import (
    Sampler,
    Step,
    analytic_sampler,
    student_sampler,
    tau_leaping_sampler,
    theta_sampler,
)
from cdmrun.samplers.second_order import ThetaRK2, ThetaTrapezoidal
from cdmrun.samplers.student import CleanStudent, StepStudent, student_kernel
from cdmrun.samplers.tau_leaping import TauLeaping

#: Exact simulation: no time grid, and no step count to choose.
Oracle = FirstHitting | Uniformization

__all__ = [
    "Analytic",
    "CleanStudent",
    "FactorizedKernel",
    "FirstHitting",
    "Oracle",
    "Sampler",
    "Step",
    "StepStudent",
    "TauLeaping",
    "ThetaRK2",
    "ThetaTrapezoidal",
    "TransitionKernel",
    "Uniformization",
    "analytic_sampler",
    "student_kernel",
    "student_sampler",
    "tau_leaping_sampler",
    "theta_sampler",
]
