"""Networks compiled for one number of rows: what they say, how often they are compiled, what becomes of failures."""

from __future__ import annotations

import math
import shutil
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from compilers import Compiler, compiling_with, missing
from torch import Tensor

from cdmrun.metrics.exact import output_law
from cdmrun.metrics.nll_bound import nll_bound
from cdmrun.models import EvaluationCounter, NetworkModel, NetworkShape
from cdmrun.models.compiling import FixedRows, compile_for_rows
from cdmrun.processes import Absorbing, ForwardProcess, Uniform
from cdmrun.samplers import Sampler, analytic_sampler, student_sampler

V, L, ROWS = 5, 6, 16
FAMILIES: dict[str, dict[str, Any]] = {
    "factorized": {},
    "hmm": {"states": 4},
    "autoregressive": {"window": 3, "hidden": 8},
    "none before": {"kind": "autoregressive", "window": 0, "hidden": 8},
}


@pytest.fixture
def compiler() -> Iterator[Compiler]:
    made = Compiler()
    with compiling_with(made):
        yield made


def network(family: str, process: ForwardProcess, matches: str = "clean", seed: int = 0) -> NetworkModel:
    """Random in all its weights, those that start at zero too."""
    torch.manual_seed(seed)
    shape = NetworkShape(L, {"kind": family} | FAMILIES[family], {"layers": 1, "width": 8, "heads": 2}, matches)
    model = NetworkModel(process, shape).eval()
    for parameter in model.parameters():
        parameter.data += 0.5 * torch.randn_like(parameter)
    return model


def drawn(sampler: Sampler, counts: tuple[int, ...]) -> tuple[list[Tensor], list[int]]:
    """Samples, so many at once, and what they cost."""
    generator, samples, rows = torch.Generator().manual_seed(1), [], []
    for count in counts:
        with EvaluationCounter(*sampler.models) as counter:
            samples.append(sampler.sample(count, generator))
        rows.append(counter.rows)
    return samples, rows


# -- one function ------------------------------------------------------------------------------------------------------


def test_one_shape_whatever_comes(compiler: Compiler) -> None:
    function = FixedRows(lambda x, y: 2 * x + y.unsqueeze(-1), 8)
    for count in (8, 7, 5, 30, 1):
        x, y = torch.randn(count, 3), torch.randn(count, dtype=torch.float64)
        with torch.inference_mode():
            assert torch.equal(function(x.t().contiguous().t(), y), 2 * x + y.unsqueeze(-1))
            assert torch.equal(function(x, y), 2 * x + y.unsqueeze(-1))
    assert compiler.graphs == 1


@pytest.mark.parametrize("rows", [1, 2, 3, 75, 256])
def test_halves_of_a_block_are_not_padded(rows: int) -> None:
    """What did not fit into a GPU's memory would not fit in halves either."""
    function = FixedRows(lambda x: x + 1, rows)
    function.compiled = lambda x: x + 2
    with torch.inference_mode():
        assert function(torch.zeros(rows)).tolist() == [2.0] * rows
        if rows > 1:
            assert function(torch.zeros(rows - rows // 2)).tolist() == [1.0] * (rows - rows // 2)


def test_gradients_are_those_of_the_function_as_written(compiler: Compiler) -> None:
    x = torch.ones(4, 2, requires_grad=True)
    FixedRows(torch.square, 4)(x).sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, torch.full((4, 2), 2.0))
    assert compiler.graphs == 0


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_nothing_of_an_earlier_call_is_overwritten_or_kept(compiler: Compiler, mode: Callable[[], Any]) -> None:
    function = FixedRows(lambda x: x + 0.5, 4, graphs=False)
    with mode():
        first = function(torch.ones(4))
        second = function(torch.zeros(4))
        third = function(torch.full((3,), 7.0))
    assert (first.tolist(), second.tolist(), third.tolist()) == ([1.5] * 4, [0.5] * 4, [7.5] * 3)


def test_types_are_kept_apart(compiler: Compiler) -> None:
    function = FixedRows(lambda x: x / 3, 2)
    with torch.inference_mode():
        for dtype in (torch.float32, torch.float64, torch.float32):
            x = torch.ones(2, dtype=dtype)
            assert torch.equal(function(x), x / 3)


def test_without_a_compiler_all_goes_on_after_one_warning() -> None:
    refused = "compile does not work here, sampling goes on without: .*no C.. compiler"
    with compiling_with(missing), torch.inference_mode():
        functions = [FixedRows(torch.square, 2), FixedRows(torch.exp, 2)]
        with pytest.warns(UserWarning, match=refused) as w:
            found = [function(torch.zeros(2)).tolist() for function in functions for _ in range(2)]
        assert found == [[0.0, 0.0]] * 2 + [[1.0, 1.0]] * 2
        assert len(w) == 1
        assert not FixedRows.working


def test_a_full_gpu_is_no_failure_of_the_compiler(compiler: Compiler) -> None:
    def full(x: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    function = FixedRows(lambda x: x + 1, 4)
    function.compiled = full
    with torch.inference_mode():
        with pytest.raises(torch.OutOfMemoryError):
            function(torch.zeros(4))
        assert function(torch.zeros(2)).tolist() == [1.0, 1.0]
    assert FixedRows.working


# -- networks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("process", [Absorbing, Uniform])
@pytest.mark.parametrize("matches", ["clean", "step"])
@pytest.mark.parametrize("family", FAMILIES)
def test_samples_and_bounds_of_students(
    compiler: Compiler, process: Callable[[int], ForwardProcess], matches: str, family: str
) -> None:
    model, held_out = network(family, process(V), matches), torch.randint(V, (27, L))
    counts = (ROWS, 11, 3)
    sampler = student_sampler(model, 3)
    expected, rows = drawn(sampler, counts)
    bound = nll_bound(sampler, held_out, torch.Generator().manual_seed(2))
    names = list(model.state_dict())
    compile_for_rows(ROWS, model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, again = drawn(sampler, counts)
        assert again == rows == [3 * count for count in counts]
        for ours, theirs in zip(found, expected, strict=True):
            assert (ours == theirs).double().mean() > 0.98  # but for ties within rounding
        assert nll_bound(sampler, held_out, torch.Generator().manual_seed(2)).bits_per_token == pytest.approx(
            bound.bits_per_token, rel=1e-5
        )
    assert math.isfinite(bound.bits_per_token)
    assert compiler.graphs == 1 + (FAMILIES[family].get("window") is not None)  # a trunk, and a step
    assert list(model.state_dict()) == names


def test_samples_of_teachers(compiler: Compiler) -> None:
    model = network("factorized", Absorbing(V))
    sampler = analytic_sampler(model, 4)
    expected, _ = drawn(sampler, (ROWS, 12))
    compile_for_rows(ROWS, model)
    compile_for_rows(ROWS, model)  # once more changes nothing
    found, rows = drawn(sampler, (ROWS, 12))
    assert rows == [4 * ROWS, 4 * 12]
    assert compiler.graphs == 1
    assert all((ours == theirs).double().mean() > 0.98 for ours, theirs in zip(found, expected, strict=True))


def test_exact_laws_of_what_is_drawn(compiler: Compiler) -> None:
    """Kernels are written out from more rows than are compiled for, in pieces."""
    model = network("autoregressive", Absorbing(2))
    sampler = student_sampler(model, 2)
    expected = output_law(sampler)
    compile_for_rows(ROWS, model)
    found = output_law(sampler)
    assert compiler.graphs >= 1
    assert float((found - expected).abs().sum()) < 1e-5
    assert float((expected - expected.mean()).abs().sum()) > 0.1


def test_networks_keep_their_own_weights(compiler: Compiler) -> None:
    """They may share what was compiled."""
    models = [network("autoregressive", Absorbing(V), seed=seed) for seed in range(3)]
    samplers = [student_sampler(model, 2) for model in models]
    expected = [drawn(sampler, (ROWS,))[0][0] for sampler in samplers]
    compile_for_rows(ROWS, *models)
    found = [drawn(sampler, (ROWS,))[0][0] for sampler in samplers]
    for number, ours in enumerate(found):
        agreed = [float((ours == theirs).double().mean()) for theirs in expected]
        assert agreed[number] > 0.98
        assert max(agreed) == agreed[number] > sorted(agreed)[-2] + 0.1


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")
def test_the_real_compiler_differs_by_rounding() -> None:
    model = network("autoregressive", Absorbing(V))
    x = torch.full((ROWS, L), V)
    x[::2, ::2] = 1
    t, sampler = torch.ones(ROWS, dtype=torch.float64), student_sampler(model, 2)

    @torch.inference_mode()
    def everything() -> tuple[Tensor, Tensor, Tensor]:
        law = model(x, t)
        assert torch.isfinite(law.unary).all()
        return law.unary, law.log_prob(x.clamp_max(V - 1)), sampler.sample(ROWS - 3, torch.Generator().manual_seed(1))

    expected = everything()
    with compiling_with("inductor"), warnings.catch_warnings():
        warnings.filterwarnings("error", message="torch.compile does not work")
        compile_for_rows(ROWS, model)
        found = everything()
        assert FixedRows.working
    torch.testing.assert_close(found[:2], expected[:2], rtol=1e-4, atol=1e-4)
    assert model.trunk.forward.buffers  # it was called
    assert (found[2] == expected[2]).double().mean() > 0.95
