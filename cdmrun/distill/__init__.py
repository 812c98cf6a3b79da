"""Distillation objectives: conditional distribution matching, and progressive distillation."""

from cdmrun.distill.bootstrap import BootstrapMatching
from cdmrun.distill.cdm import ExactMatching, SampledMatching
from cdmrun.distill.divergences import Divergence, divergence
from cdmrun.distill.labels import KeptLabels, Labels, TeacherLabels, label_arrays
from cdmrun.distill.progressive import ComposedMatching, rounds
from cdmrun.distill.soft import ChainMatching, LastLinkMatching
from cdmrun.distill.steps import StepSchedule

__all__ = [
    "BootstrapMatching",
    "ChainMatching",
    "ComposedMatching",
    "Divergence",
    "ExactMatching",
    "KeptLabels",
    "Labels",
    "LastLinkMatching",
    "SampledMatching",
    "StepSchedule",
    "TeacherLabels",
    "divergence",
    "label_arrays",
    "rounds",
]
