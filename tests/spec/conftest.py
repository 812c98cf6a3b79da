"""Small specs to break, and short ways to write and check them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cdmrun.spec.errors import SpecError
from cdmrun.spec.load import find_errors

#: A valid spec on text; line numbers in the tests count its lines from 1.
TEXT = """\
name: text-absorbing
seeds: [0, 1]
data: {kind: kjv, length: 64}
forward_process: {kind: absorbing}
teacher:
  kind: network
  train: {steps: 4000, lr: 2e-3}
students:
  cdm-hmm:
    method: cdm
    family: {kind: hmm, states: 128}
    nfe: [1, 2, 4, 8]
  halving:
    method: progressive
    nfe: [8, 4, 2, 1]
baselines:
  tau_leaping: {nfe: [1, 2, 4]}
  analytic: {nfe: [1, 2, 4]}
evaluation: {samples: 200, metrics: [nll_bound, judge_nll]}
"""

#: A valid spec on an enumerable law.
RING = """\
name: ring
data: {kind: potts_ring, states: 3, length: 3}
forward_process: {kind: uniform}
teacher: {kind: enumerated}
students:
  joint:
    method: cdm
    family: {kind: joint}
    nfe: [1, 2]
"""

#: A known chain, with second-order samplers and an oracle among the baselines.
CHAIN = """\
name: chain
data: {kind: markov, source: random, states: 3, order: 2, length: 8, draws: 64}
forward_process: {kind: absorbing}
teacher: {kind: markov}
students:
  causal:
    method: cdm
    family: {kind: autoregressive, window: 2, hidden: 16}
    target: {kind: rollout, substeps: 2, draws: 16}
    nfe: [1, 2]
baselines:
  tau_leaping: {nfe: [1, 2], jumps: any_jump}
  theta_trapezoidal: {nfe: [2, 4], theta: 0.5}
  first_hitting: {}
evaluation: {samples: 16, held_out: 32, metrics: [nll_bound, excess_nll_bound]}
"""

#: A process that is given by its generator, on an ordinal target.
GENERATOR = """\
name: generator
data: {kind: checkerboard, size: 4}
forward_process: {kind: matrix, generator: [[-1, 1, 0, 0], [1, -2, 1, 0], [0, 1, -2, 1], [0, 0, 1, -1]]}
teacher: {kind: enumerated}
students:
  joint:
    method: cdm
    family: {kind: joint}
    nfe: [1, 2]
baselines:
  theta_rk2: {nfe: [2, 4]}
  uniformization: {}
evaluation: {samples: 16, metrics: [tv, kl, chi2_p]}
report: {orders: [tv], laws: [1]}
"""
#: What is broken, in every way that comes to mind.
SPECS = [TEXT, RING, CHAIN, GENERATOR]

Write = Callable[..., Path]
Errors = Callable[..., list[SpecError]]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a spec (``a.yaml`` unless named) into an empty folder that is the working folder; return its path."""
    monkeypatch.chdir(tmp_path)

    def write_file(text: str, name: str = "a.yaml") -> Path:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write_file


@pytest.fixture
def errors(write: Write) -> Errors:
    """Write a spec and return what is wrong with it."""
    return lambda text, name="a.yaml": find_errors([write(text, name)])
