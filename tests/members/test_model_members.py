"""Every process, family, sampler and objective, from its defaults, on toy problems."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from member_cases import TINY, Resolve, each, rows_sum_to_one, schema_of, toy
from science_cases import chi_square_p, generator
from workflow_cases import plan_into

from cdmrun.models import ConditionalModel, EnumeratedTeacher, EvaluationCounter
from cdmrun.processes import ForwardProcess, make_schedule
from cdmrun.processes.enumeration import enumerate_states, state_codes
from cdmrun.registry import SamplerMember, find, implementation
from cdmrun.stages.build import build_oracle, build_process, build_sampler, load_models
from cdmrun.stages.run import run_stage


def process_of(resolve: Resolve, name: str) -> ForwardProcess:
    config = resolve(forward_process={"kind": name, **toy("process", name)}).spec["forward_process"]
    return build_process(config, 4)


@each("process")
def test_processes_satisfy_chapman_kolmogorov(resolve: Resolve, name: str) -> None:
    process = process_of(resolve, name)
    r, s, t = 0.2, 0.5, 0.9
    whole = process.kernel(r, t)
    assert (whole >= 0).all()
    torch.testing.assert_close(whole.sum(1), torch.ones(process.states, dtype=torch.float64), atol=1e-12, rtol=0)
    torch.testing.assert_close(process.kernel(r, s) @ process.kernel(s, t), whole, atol=1e-12, rtol=0)
    prior = process.prior()
    assert float(prior.sum()) == pytest.approx(1.0, abs=1e-12)
    torch.testing.assert_close(prior @ process.kernel(s, t), prior, atol=1e-10, rtol=0)


@each("family")
def test_families_are_laws_that_can_be_drawn_from(resolve: Resolve, name: str) -> None:
    V, L, width, count = 3, 2, 6, 4000
    student = {"method": "cdm", "family": {"kind": name, **toy("family", name)}, "nfe": [1]}
    options = {
        key: value
        for key, value in resolve(students={"one": student}).spec["students"]["one"]["family"].items()
        if key != "kind"
    }
    with torch.random.fork_rng():
        torch.manual_seed(1)
        head = implementation("family", name)(V, L, width, **options).double().requires_grad_(False)
        features, unary = torch.randn(1, L, width).double(), torch.randn(1, L, V).double()
    masked, spoken = torch.full((1, L), V), torch.ones(1, L, dtype=torch.bool)
    law = head(features, unary, masked, spoken)
    sequences = enumerate_states(V, L)
    probabilities = law.log_probabilities(sequences)[0].exp()
    assert float(probabilities.sum()) == pytest.approx(1.0, abs=1e-9)
    drawn = law.select(torch.zeros(count, dtype=torch.long)).sample(generator(2))
    counts = np.bincount(state_codes(drawn, V).numpy(), minlength=len(sequences))
    assert chi_square_p(counts, probabilities.numpy()) > 1e-4


def teacher_for(member: SamplerMember) -> ConditionalModel:
    """An exact teacher of four sequences under a process that the sampler is for."""
    kind = "absorbing" if member.absorbing else "uniform"
    process = implementation("process", kind)(2, make_schedule("loglinear", 0.0 if member.absorbing else 1e-3))
    return EnumeratedTeacher(process, torch.tensor([[0.4, 0.1], [0.2, 0.3]], dtype=torch.float64))


@each("sampler")
@torch.inference_mode()
def test_samplers_are_kernels_that_cost_what_they_say(resolve: Resolve, name: str) -> None:
    member = cast(SamplerMember, find("sampler", name))
    process, nfe = "absorbing" if member.absorbing else "uniform", 2 * member.calls
    own = toy("sampler", name) if member.oracle else {"nfe": [nfe], **toy("sampler", name)}
    config = {
        "sampler": name,
        **resolve(forward_process={"kind": process}, baselines={name: own}).spec["baselines"][name],
    }
    model = teacher_for(member)
    if member.oracle:
        drawn = build_oracle(config, {None: model}).sample(32, generator())
    else:
        sampler = build_sampler(config, {None: model}, nfe)
        rows_sum_to_one(sampler)
        with EvaluationCounter(*sampler.models) as counter:
            drawn = sampler.sample(32, generator())
        assert counter.per_sample(32) == sampler.nfe == nfe
    assert drawn.shape == (32, 2)
    assert 0 <= int(drawn.min()) <= int(drawn.max()) < model.process.states


@each("objective")
def test_objectives_make_students_that_can_be_sampled(write: Callable[..., Path], name: str) -> None:
    student = {"method": name, "nfe": [2, 1], **TINY, **toy("objective", name)}
    required = schema_of(find("objective", name))
    assert required is not None
    if "family" in required["required"]:
        student["family"] = {"kind": "mixture", "components": 2}
    out = Path("results")
    plan = plan_into(out, write(students={"one": student}))
    for key, run in plan.runs.items():
        if run.kind in ("data", "teachers", "students"):
            run_stage(run.stage, key, out, "cpu", 1)
    (made,) = (run for run in plan.runs.values() if run.kind == "students")
    process = build_process(made.config["forward_process"], 4)
    models = load_models(process, out / made.key, "cpu")
    for nfe in (1, 2):
        rows_sum_to_one(build_sampler({"sampler": "student", "grid": "uniform"}, models, nfe))
