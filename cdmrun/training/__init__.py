"""The training loop, its settings and its checkpoints."""

from cdmrun.training.loop import InterruptedTraining, Objective, Progress, TrainResult, step_generator, train
from cdmrun.training.settings import TrainSettings

__all__ = ["InterruptedTraining", "Objective", "Progress", "TrainResult", "TrainSettings", "step_generator", "train"]
