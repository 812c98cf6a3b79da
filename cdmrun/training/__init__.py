"""The training loop, its settings and its checkpoints."""

from cdmrun.training.group import ALONE, Group, joined
from cdmrun.training.interrupt import Interrupted, stop_requested
from cdmrun.training.loop import Objective, Progress, TrainResult, UsesAverage, step_generator, train
from cdmrun.training.settings import TrainSettings

__all__ = [
    "ALONE",
    "Group",
    "Interrupted",
    "Objective",
    "Progress",
    "TrainResult",
    "TrainSettings",
    "UsesAverage",
    "joined",
    "step_generator",
    "stop_requested",
    "train",
]
