"""Conditional models: exact teachers, networks, and the families of joint laws they answer with."""

from cdmrun.models.base import ConditionalModel, EvaluationCounter
from cdmrun.models.enumerated import EnumeratedTeacher
from cdmrun.models.exact import ExactTeacher
from cdmrun.models.families import JointDistribution
from cdmrun.models.markov import MarkovTeacher
from cdmrun.models.network import NetworkModel, NetworkShape
from cdmrun.models.storage import load_model, save_model

__all__ = [
    "ConditionalModel",
    "EnumeratedTeacher",
    "EvaluationCounter",
    "ExactTeacher",
    "JointDistribution",
    "MarkovTeacher",
    "NetworkModel",
    "NetworkShape",
    "load_model",
    "save_model",
]
