"""Forward processes: schedules, kernels, and the conditionals that follow from them exactly."""

from cdmrun.processes.base import ForwardProcess
from cdmrun.processes.interpolating import Absorbing, Interpolating, Uniform
from cdmrun.processes.matrix import Matrix
from cdmrun.processes.schedules import Cosine, Geometric, Loglinear, Schedule, make_schedule, time_grid

__all__ = [
    "Absorbing",
    "Cosine",
    "ForwardProcess",
    "Geometric",
    "Interpolating",
    "Loglinear",
    "Matrix",
    "Schedule",
    "Uniform",
    "make_schedule",
    "time_grid",
]
