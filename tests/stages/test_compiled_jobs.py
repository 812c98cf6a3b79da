"""`evaluation.compile`: samples and scores by compiled networks, against those by the networks as written."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compilers import Compiler, compiling_with, missing
from workflow_cases import plan_into

from cdmrun.errors import UserError
from cdmrun.files import sha256_of
from cdmrun.models.compiling import FixedRows
from cdmrun.spec.plan_types import Plan
from cdmrun.stages import sample
from cdmrun.stages.run import run_stage

#: An autoregressive student, and a chain of networks; a last block that is smaller than the first.
SPEC = """\
name: little-chain
data: {kind: markov, source: random, states: 3, order: 2, length: 8, draws: 64}
forward_process: {kind: absorbing}
teacher: {kind: markov}
students:
  causal:
    method: cdm
    family: {kind: autoregressive, window: 2, hidden: 16}
    nfe: [1, 2]
    model: {layers: 1, width: 16, heads: 1}
    train: {steps: 20, batch: 8, lr: 1e-2}
  halved:
    method: progressive
    nfe: [2, 1]
    model: {layers: 1, width: 16, heads: 1}
    train: {steps: 3, batch: 8}
evaluation: {samples: 456, held_out: 40, timing: false, compile: false}
"""


class Products:
    """A results folder, and two plans for it: networks as written, and compiled ones."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.out = folder / "results"
        self.plans: dict[bool, Plan] = {}
        for compiled in (False, True):
            path = folder / f"{compiled}.yaml"
            path.write_text(SPEC.replace("compile: false", f"compile: {str(compiled).lower()}"))
            self.plans[compiled] = plan_into(self.out, path)

    def make(self, compiled: bool, *kinds: str) -> None:
        for key, run in self.plans[compiled].runs.items():
            if run.kind in kinds:
                run_stage(run.stage, key, self.out, "cpu", 1)

    def folder(self, compiled: bool, kind: str, slug: str) -> Path:
        (key,) = (key for key in self.plans[compiled].runs if key.startswith(f"{kind}/{slug}-"))
        return self.out / key

    def read(self, compiled: bool, kind: str, slug: str, name: str) -> Any:
        return json.loads((self.folder(compiled, kind, slug) / name).read_text())


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> Products:
    made = Products(tmp_path_factory.mktemp("compiled"))
    made.make(False, "data", "teachers", "students", "samples", "scores")
    return made


@pytest.fixture
def compiler() -> Iterator[Compiler]:
    made = Compiler()
    with compiling_with(made):
        yield made


@pytest.mark.parametrize("slug", ["cdm-autoregressive-markov", "progressive-markov"])
def test_samples_and_scores_are_the_same_but_for_rounding(products: Products, compiler: Compiler, slug: str) -> None:
    products.make(True, "samples")
    compiler.graphs = 0
    products.make(True, "scores")
    assert FixedRows.working
    assert compiler.graphs or slug != "cdm-autoregressive-markov"  # what is scored once is not scored again
    arrays = [np.load(products.folder(which, "samples", slug) / "samples.npz") for which in (False, True)]
    assert arrays[0].files == arrays[1].files == ["nfe_1", "nfe_2"]
    for name in arrays[0].files:
        assert arrays[0][name].shape == (456, 8)
        assert (arrays[0][name] == arrays[1][name]).mean() > 0.99
    for nfe in ("1", "2"):
        costs = [products.read(which, "samples", slug, "sampling.json")["nfe"][nfe] for which in (False, True)]
        assert costs[0]["nfe_counted"] == costs[1]["nfe_counted"] == int(nfe)
        assert costs[1]["batch"] == 256
        assert costs[1]["compiled"] is True
        assert "compiled" not in costs[0]
    scores = [products.read(which, "scores", slug, "scores.json")["scores"] for which in (False, True)]
    bounds = [[row["value"] for row in rows if row["metric"] == "nll_bound"] for rows in scores]
    assert len(bounds[0]) == 2
    assert bounds[0] == pytest.approx(bounds[1], rel=1e-4)


def test_samples_and_scores_alone_are_other_products(products: Products) -> None:
    written, compiled = (set(products.plans[which].runs) for which in (False, True))
    assert {key.split("/")[0] for key in written - compiled} == {"samples", "scores"}
    assert len(written) == len(compiled)


def test_what_is_compiled_is_compiled_once(products: Products, compiler: Compiler) -> None:
    """At one shape for a trunk and one for a step, warm-up, a smaller last block and all step counts included."""
    key, run = next(
        (key, run)
        for key, run in products.plans[True].runs.items()
        if key.startswith("samples/cdm-autoregressive-markov")
    )
    (products.out / key / "manifest.json").unlink(missing_ok=True)
    (products.out / key / ".manifest.json").unlink(missing_ok=True)
    run_stage(run.stage, key, products.out, "cpu", 1)
    assert compiler.graphs == 2


def test_a_stopped_sampling_goes_on_bit_identically(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed, stopped = (Products(tmp_path / name) for name in ("undisturbed", "stopped"))
    name, blocks, draw = "samples/cdm-autoregressive-markov", 0, sample._block

    def drawn_and_told_to_stop(*arguments: Any) -> Any:
        nonlocal blocks
        blocks += 1
        made = draw(*arguments)
        if blocks == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return made

    found = []
    for products in (undisturbed, stopped):
        products.make(True, "data", "teachers", "students")
        (key,) = (key for key in products.plans[True].runs if key.startswith(name))
        if products is stopped:
            with compiling_with(Compiler()), monkeypatch.context() as patch:
                patch.setattr(sample, "_block", drawn_and_told_to_stop)
                with pytest.raises(UserError, match="stopped at step 1 of 4"):
                    run_stage("sample", key, products.out, "cpu", 1)
            assert len(list((products.out / key / "work").glob("*.npz"))) == 1
        with compiling_with(Compiler()):
            run_stage("sample", key, products.out, "cpu", 1)
        found.append(sha256_of(products.out / key / "samples.npz"))
    assert found[0] == found[1]


def test_without_a_compiler_samples_are_those_of_the_networks_as_written(products: Products) -> None:
    compiled, written = (
        products.folder(which, "samples", "cdm-autoregressive-markov") / "samples.npz" for which in (True, False)
    )
    for name in ("manifest.json", ".manifest.json"):
        (compiled.parent / name).unlink(missing_ok=True)
    refused = "compile does not work here, sampling goes on without: .*no C.. compiler"
    with compiling_with(missing), pytest.warns(UserWarning, match=refused) as w:
        run_stage("sample", f"samples/{compiled.parent.name}", products.out, "cpu", 1)
    assert len([warning for warning in w if "torch.compile" in str(warning.message)]) == 1
    assert sha256_of(compiled) == sha256_of(written)
    assert not any(
        cost["compiled"] for cost in json.loads((compiled.parent / "sampling.json").read_text())["nfe"].values()
    )
