"""Bars and stripes, and one of everything else that cdmrun can be given, in one file.

The top level imports nothing heavy, since it is read whenever a spec is; the functions import what they need.
"""

from __future__ import annotations

from typing import Any

from cdmrun.registry import DataMember, FamilyMember, MetricMember, ObjectiveMember, ProcessMember, SamplerMember


def load_bars(side: int = 2, noise: float = 0.0) -> Any:
    """Images whose rows are all alike, or whose columns are: p_0 is uniform on them, with a share of noise."""
    import numpy as np

    from cdmrun.data import Dataset

    images = np.indices((2,) * side**2).reshape(side, side, -1)  # [row, column, image]
    striped = (images == images[:1]).all((0, 1)) | (images == images[:, :1]).all((0, 1))
    law = (1.0 - noise) * striped / striped.sum() + noise / striped.size
    return Dataset(
        name="bars",
        vocabulary=2,
        length=side**2,
        splits={},
        table=law.reshape((2,) * side**2),
        ordinal=False,
        alphabet=None,
        image_shape=(side, side),
        source=f"formula: bars and stripes on {side} × {side} pixels",
        licence="none needed",
    )


def cyclic(vocabulary: int, schedule: Any, drift: float) -> Any:
    """Tokens on a circle, that move to the next one, or to the one before it, a ``drift`` as often."""
    import torch

    from cdmrun.processes import Matrix

    identity = torch.eye(vocabulary, dtype=torch.float64)
    onwards, back = identity.roll(1, 1) - identity, identity.roll(-1, 1) - identity
    return Matrix(onwards + drift * back, schedule, "cyclic")


def sharpened(vocabulary: int, length: int, width: int, temperature: float) -> Any:
    """Positions are independent, with log-odds divided by a temperature."""
    from cdmrun.models.families import FactorizedHead

    class Sharpened(FactorizedHead):
        def forward(self, features: Any, unary: Any, fixed: Any, spoken: Any) -> Any:
            return super().forward(features, unary / temperature, fixed, spoken)

    return Sharpened(vocabulary, length, width)


def likelihood(task: Any) -> dict[str, str]:
    """Maximum likelihood of the data, noised by themselves: a student that hardly needs its teacher."""
    from cdmrun.distill import SampledMatching, StepSchedule
    from cdmrun.training.sources import noised_pairs

    student = task.student(task.config["family"])
    pairs = noised_pairs(task.source, task.teacher.process)
    steps = StepSchedule(task.config["nfe"], task.config["grid"])
    task.train(student, SampledMatching(student, pairs, steps, task.batch))
    return {"any": "model"}


def warped(model: Any, nfe: int, power: float) -> Any:
    """The analytic sampler on the grid (k / n)^power: above 1, its steps are finer towards the data."""
    from cdmrun.samplers import Analytic, Sampler, Step

    times = [(k / nfe) ** power for k in range(nfe + 1)]
    kernel = Analytic(model)
    steps = tuple(Step(kernel, times[k], times[k - 1]) for k in range(nfe, 0, -1))
    return Sampler(model.process, model.length, steps)


def repeats(found: Any) -> float:
    """The share of samples that have been drawn before."""
    import numpy as np

    return 1.0 - len(np.unique(found.samples, axis=0)) / len(found.samples)


MEMBERS = (
    DataMember(
        name="bars",
        implementation="cdmrun_bars:load_bars",
        description="Bars and stripes: small black and white images whose rows, or whose columns, are all alike.",
        options={
            "side": {"type": "integer", "minimum": 2, "maximum": 3, "default": 2, "description": "Pixels a side."},
            "noise": {
                "type": "number",
                "minimum": 0,
                "exclusiveMaximum": 1,
                "default": 0.0,
                "description": "Probability that is spread evenly over all images.",
            },
        },
        shape=lambda data: (2, data["side"] ** 2),
        enumerable=True,
    ),
    ProcessMember(
        name="cyclic",
        implementation="cdmrun_bars:cyclic",
        description="Tokens move around a circle.",
        options={
            "drift": {
                "type": "number",
                "minimum": 0,
                "maximum": 1,
                "default": 1.0,
                "description": "How often tokens move back, as a share of how often they move on.",
            }
        },
    ),
    FamilyMember(
        name="sharpened",
        implementation="cdmrun_bars:sharpened",
        description="Positions independent given the noisy sequence, at a temperature.",
        options={
            "temperature": {
                "type": "number",
                "exclusiveMinimum": 0,
                "default": 0.5,
                "description": "What log-odds are divided by: below 1 makes likely tokens likelier.",
            }
        },
    ),
    ObjectiveMember(
        name="likelihood",
        implementation="cdmrun_bars:likelihood",
        description="Maximum likelihood of noised data.",
        options={"family": {"$ref": "#/$defs/family", "description": "The student's joint law."}},
    ),
    SamplerMember(
        name="warped",
        implementation="cdmrun_bars:warped",
        description="The analytic sampler on a grid whose steps are powers.",
        options={
            "power": {
                "type": "number",
                "exclusiveMinimum": 0,
                "maximum": 10,
                "default": 2.0,
                "description": "Of the evenly spaced times: above 1, steps are finer towards the data.",
            }
        },
    ),
    MetricMember(
        name="repeats",
        implementation="cdmrun_bars:repeats",
        description="The share of samples that have been drawn before: close to that of real data is good.",
        options={},
        label="Repeated samples",
        unit="share",
        bare=True,
        direction="reference",
        exactness="estimate",
        reads="samples",
    ),
)
