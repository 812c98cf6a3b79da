"""Distillation objectives: conditional distribution matching, and progressive distillation."""

from cdmrun.distill.cdm import ExactMatching, SampledMatching
from cdmrun.distill.progressive import ComposedMatching, rounds
from cdmrun.distill.steps import StepSchedule

__all__ = ["ComposedMatching", "ExactMatching", "SampledMatching", "StepSchedule", "rounds"]
