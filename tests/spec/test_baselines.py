"""Baselines that do not fit: each at its place."""

from __future__ import annotations

import pytest

from cdmrun.spec.metric_kinds import metric_names
from cdmrun.spec.plan import build_plan
from cdmrun.spec.schema import section

from .conftest import RING, Errors, Write

ABSORBING = RING.replace("uniform", "absorbing")


@pytest.mark.parametrize(
    ("spec", "added", "expected"),
    [
        (RING, "baselines: {theta_trapezoidal: {nfe: [2, 5]}}", "baselines.theta_trapezoidal.nfe[1]: 5 is odd"),
        (RING, "baselines: {theta_rk2: {nfe: [2], theta: 1.5}}", "baselines.theta_rk2.theta: "),
        (RING, "baselines: {first_hitting: {}}", "baselines.first_hitting: simulates the absorbing process"),
        (ABSORBING, "baselines: {uniformization: {}}", "baselines.uniformization: simulates processes without masks"),
        (
            ABSORBING,
            "baselines: {tau_leaping: {nfe: [2], jumps: poisson}}",
            "baselines.tau_leaping.jumps: poisson adds up levels",
        ),
        (RING, "baselines: {tau_leaping: {nfe: [2], jumps: any}}", "baselines.tau_leaping.jumps: 'any' is not one of"),
        (
            RING.replace("{kind: uniform}", "{kind: uniform, alpha_min: 0}"),
            "baselines: {uniformization: {}}",
            "forward_process.alpha_min: 0 lets the noise",
        ),
        (
            RING.replace("states: 3, length: 3", "states: 6, length: 5"),
            "baselines: {theta_rk2: {nfe: [2]}}",
            "baselines.theta_rk2: the exact law of a two-stage step on 7,776 states is out of reach",
        ),
    ],
)
def test_what_makes_no_sense(spec: str, added: str, expected: str, errors: Errors) -> None:
    found = errors(f"{spec}{added}\n")
    assert len(found) == 1, [str(error) for error in found]
    assert expected in str(found[0])


def test_without_exact_metrics_two_stages_may_have_any_number_of_states(errors: Errors) -> None:
    spec = RING.replace("states: 3, length: 3", "states: 6, length: 5")
    assert errors(f"{spec}baselines: {{theta_rk2: {{nfe: [2]}}}}\nevaluation: {{metrics: [entropy]}}\n") == []


@pytest.mark.parametrize(("kind", "final", "hold"), [("uniform", "none", "ratio"), ("absorbing", "denoise", "rate")])
def test_defaults_that_depend_on_the_process(kind: str, final: str, hold: str, write: Write) -> None:
    text = RING.replace("uniform", kind) + "baselines: {theta_rk2: {nfe: [2]}, tau_leaping: {nfe: [2]}}\n"
    baselines = build_plan([write(text)]).experiments[0].spec["baselines"]
    for name in ("theta_rk2", "tau_leaping"):
        assert (baselines[name]["final"], baselines[name]["hold"]) == (final, hold)


def test_an_oracle_has_no_step_count(write: Write) -> None:
    plan = build_plan([write(RING + "baselines: {uniformization: {}}\n")])
    (oracle,) = (entry for entry in plan.experiments[0].entries if entry.role == "oracle")
    assert (oracle.nfe, oracle.method, oracle.family) == ((), "uniformization", "exact")
    assert plan.runs[oracle.samples].config["stop"] == 1e-5


def test_every_metric_of_the_schema_has_a_kind() -> None:
    items = section("evaluation", "metrics")["items"]
    assert sorted(items["enum"]) == sorted(metric_names())
