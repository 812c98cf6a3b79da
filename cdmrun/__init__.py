"""How few steps are enough, and at what loss: distillation of discrete diffusion models.

As a library, this module offers the science without the runner: forward processes, exact teachers, samplers, families
of students, objectives and metrics. Names are looked up on first use (PEP 562), so that ``cdmrun --help`` need not
wait for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

#: Where each public name lives.
_HOME: dict[str, str] = {
    name: module
    for module, names in {
        "cdmrun.errors": "UserError",
        "cdmrun.data": "Dataset load",
        "cdmrun.data.chain": "MarkovChain",
        "cdmrun.processes": (
            "Absorbing Constant Cosine ForwardProcess Geometric Interpolating Loglinear Matrix Schedule Uniform"
            " birth_death block discretised_gaussian hky85 make_schedule time_grid"
        ),
        "cdmrun.models": (
            "ConditionalModel EnumeratedTeacher EvaluationCounter ExactTeacher JointDistribution MarkovTeacher"
            " NetworkModel NetworkShape load_model save_model"
        ),
        "cdmrun.models.families": "Autoregressive Factorized HiddenMarkov Joint Markov Mixture",
        "cdmrun.samplers": (
            "FirstHitting Sampler Step TransitionKernel Uniformization analytic_sampler student_kernel"
            " student_sampler tau_leaping_sampler theta_sampler"
        ),
        "cdmrun.distill": (
            "BootstrapMatching ChainMatching ComposedMatching ExactMatching KeptLabels LastLinkMatching SampledMatching"
            " StepSchedule TeacherLabels divergence rounds"
        ),
        "cdmrun.training": "TrainResult TrainSettings train",
        "cdmrun.training.denoising": "Denoising",
        "cdmrun.training.sources": "array_source chain_source table_source",
        "cdmrun.metrics.divergences": "cross_entropy jensen_shannon kl_divergence marginal_variation total_variation",
        "cdmrun.metrics.exact": "ExactAnalysis analyse data_law output_law",
        "cdmrun.metrics.excess": "excess_nll_bound",
        "cdmrun.metrics.goodness": "chi2_p",
        "cdmrun.metrics.nll_bound": "Bound nll_bound",
        "cdmrun.metrics.ngram": "NgramJudge",
        "cdmrun.metrics.entropy": "sample_unigram_entropy",
        "cdmrun.metrics.text": "self_bleu",
    }.items()
    for name in names.split()
}

__all__ = sorted(_HOME)

if TYPE_CHECKING:
    from cdmrun.data import Dataset as Dataset
    from cdmrun.data import load as load
    from cdmrun.data.chain import MarkovChain as MarkovChain
    from cdmrun.distill import BootstrapMatching as BootstrapMatching
    from cdmrun.distill import ChainMatching as ChainMatching
    from cdmrun.distill import ComposedMatching as ComposedMatching
    from cdmrun.distill import ExactMatching as ExactMatching
    from cdmrun.distill import KeptLabels as KeptLabels
    from cdmrun.distill import LastLinkMatching as LastLinkMatching
    from cdmrun.distill import SampledMatching as SampledMatching
    from cdmrun.distill import StepSchedule as StepSchedule
    from cdmrun.distill import TeacherLabels as TeacherLabels
    from cdmrun.distill import divergence as divergence
    from cdmrun.distill import rounds as rounds
    from cdmrun.errors import UserError as UserError
    from cdmrun.metrics.divergences import cross_entropy as cross_entropy
    from cdmrun.metrics.divergences import jensen_shannon as jensen_shannon
    from cdmrun.metrics.divergences import kl_divergence as kl_divergence
    from cdmrun.metrics.divergences import marginal_variation as marginal_variation
    from cdmrun.metrics.divergences import total_variation as total_variation
    from cdmrun.metrics.entropy import sample_unigram_entropy as sample_unigram_entropy
    from cdmrun.metrics.exact import ExactAnalysis as ExactAnalysis
    from cdmrun.metrics.exact import analyse as analyse
    from cdmrun.metrics.exact import data_law as data_law
    from cdmrun.metrics.exact import output_law as output_law
    from cdmrun.metrics.excess import excess_nll_bound as excess_nll_bound
    from cdmrun.metrics.goodness import chi2_p as chi2_p
    from cdmrun.metrics.ngram import NgramJudge as NgramJudge
    from cdmrun.metrics.nll_bound import Bound as Bound
    from cdmrun.metrics.nll_bound import nll_bound as nll_bound
    from cdmrun.metrics.text import self_bleu as self_bleu
    from cdmrun.models import ConditionalModel as ConditionalModel
    from cdmrun.models import EnumeratedTeacher as EnumeratedTeacher
    from cdmrun.models import EvaluationCounter as EvaluationCounter
    from cdmrun.models import ExactTeacher as ExactTeacher
    from cdmrun.models import JointDistribution as JointDistribution
    from cdmrun.models import MarkovTeacher as MarkovTeacher
    from cdmrun.models import NetworkModel as NetworkModel
    from cdmrun.models import NetworkShape as NetworkShape
    from cdmrun.models import load_model as load_model
    from cdmrun.models import save_model as save_model
    from cdmrun.models.families import Autoregressive as Autoregressive
    from cdmrun.models.families import Factorized as Factorized
    from cdmrun.models.families import HiddenMarkov as HiddenMarkov
    from cdmrun.models.families import Joint as Joint
    from cdmrun.models.families import Markov as Markov
    from cdmrun.models.families import Mixture as Mixture
    from cdmrun.processes import Absorbing as Absorbing
    from cdmrun.processes import Constant as Constant
    from cdmrun.processes import Cosine as Cosine
    from cdmrun.processes import ForwardProcess as ForwardProcess
    from cdmrun.processes import Geometric as Geometric
    from cdmrun.processes import Interpolating as Interpolating
    from cdmrun.processes import Loglinear as Loglinear
    from cdmrun.processes import Matrix as Matrix
    from cdmrun.processes import Schedule as Schedule
    from cdmrun.processes import Uniform as Uniform
    from cdmrun.processes import birth_death as birth_death
    from cdmrun.processes import block as block
    from cdmrun.processes import discretised_gaussian as discretised_gaussian
    from cdmrun.processes import hky85 as hky85
    from cdmrun.processes import make_schedule as make_schedule
    from cdmrun.processes import time_grid as time_grid
    from cdmrun.samplers import FirstHitting as FirstHitting
    from cdmrun.samplers import Sampler as Sampler
    from cdmrun.samplers import Step as Step
    from cdmrun.samplers import TransitionKernel as TransitionKernel
    from cdmrun.samplers import Uniformization as Uniformization
    from cdmrun.samplers import analytic_sampler as analytic_sampler
    from cdmrun.samplers import student_kernel as student_kernel
    from cdmrun.samplers import student_sampler as student_sampler
    from cdmrun.samplers import tau_leaping_sampler as tau_leaping_sampler
    from cdmrun.samplers import theta_sampler as theta_sampler
    from cdmrun.training import TrainResult as TrainResult
    from cdmrun.training import TrainSettings as TrainSettings
    from cdmrun.training import train as train
    from cdmrun.training.denoising import Denoising as Denoising
    from cdmrun.training.sources import array_source as array_source
    from cdmrun.training.sources import chain_source as chain_source
    from cdmrun.training.sources import table_source as table_source


def __getattr__(name: str) -> Any:
    """Import a public name, and what it needs, when it is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module 'cdmrun' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
