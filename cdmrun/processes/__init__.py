"""Forward processes: schedules, kernels, and the conditionals that follow from them exactly."""

from cdmrun.processes.base import ForwardProcess
from cdmrun.processes.generators import birth_death, block, discretised_gaussian, hky85
from cdmrun.processes.interpolating import Absorbing, Interpolating, Uniform
from cdmrun.processes.matrix import Matrix
from cdmrun.processes.schedules import Constant, Cosine, Geometric, Grid, Loglinear, Schedule, make_schedule, time_grid

__all__ = [
    "Absorbing",
    "Constant",
    "Cosine",
    "ForwardProcess",
    "Geometric",
    "Grid",
    "Interpolating",
    "Loglinear",
    "Matrix",
    "Schedule",
    "Uniform",
    "birth_death",
    "block",
    "discretised_gaussian",
    "hky85",
    "make_schedule",
    "time_grid",
]
