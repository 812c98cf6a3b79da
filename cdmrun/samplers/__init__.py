"""Samplers: explicit transition kernels walked down a time grid."""

from cdmrun.samplers.kernels import Analytic, FactorizedKernel, TransitionKernel
from cdmrun.samplers.sampler import Sampler, Step, analytic_sampler, student_sampler, tau_leaping_sampler
from cdmrun.samplers.student import CleanStudent, StepStudent, student_kernel
from cdmrun.samplers.tau_leaping import TauLeaping

__all__ = [
    "Analytic",
    "CleanStudent",
    "FactorizedKernel",
    "Sampler",
    "Step",
    "StepStudent",
    "TauLeaping",
    "TransitionKernel",
    "analytic_sampler",
    "student_kernel",
    "student_sampler",
    "tau_leaping_sampler",
]
