"""Tiny experiments, and ways to run them through the real Snakefile; for the tests of the workflow and the stages."""

from __future__ import annotations

import contextlib
import io
import os
import random
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from snakemake import cli as snakemake_cli
from snakemake import workflow as snakemake_workflow

import cdmrun
from cdmrun.spec.cards import write_cards
from cdmrun.spec.plan import build_plan
from cdmrun.spec.plan_types import Plan

REPOSITORY = Path(__file__).parents[1]

#: Seconds after which a program is taken to hang: many times what any needs, since a busy machine is no failure.
PATIENCE = 900.0

#: Four sequences, an exact teacher, three students: every stage but the judge and the draws, in seconds.
TINY = """\
name: tiny
data: {kind: potts_ring, states: 2, length: 2}
forward_process: {kind: uniform}
teacher: {kind: enumerated}
students:
  whole:
    method: cdm
    family: {kind: joint}
    nfe: [1, 2]
    model: {layers: 1, width: 16, heads: 1}
    train: {steps: 5, batch: 8}
  parts:
    method: cdm
    family: {kind: factorized}
    nfe: [1, 2]
    model: {layers: 1, width: 16, heads: 1}
    train: {steps: 5, batch: 8}
  halved:
    method: progressive
    nfe: [2, 1]
    model: {layers: 1, width: 16, heads: 1}
    train: {steps: 3, batch: 8}
baselines:
  tau_leaping: {nfe: [1, 2]}
  analytic: {nfe: [1, 2]}
evaluation: {samples: 16}
"""

#: Every sampler and oracle without masks on a 2-d target, with law pictures and fitted orders.
GRID = """\
name: little-grid
data: {kind: checkerboard, size: 8}
forward_process: {kind: gaussian}
teacher: {kind: enumerated}
students:
  causal:
    method: cdm
    family: {kind: autoregressive, window: 1, hidden: 16}
    nfe: [1, 2]
    model: {layers: 1, width: 16, heads: 1}
    train: {steps: 3, batch: 8}
baselines:
  tau_leaping: {nfe: [1, 2, 4, 8]}
  analytic: {nfe: [1, 2, 4, 8]}
  theta_trapezoidal: {nfe: [2, 4]}
  theta_rk2: {nfe: [2, 4]}
  uniformization: {}
evaluation:
  samples: 512
  metrics: [tv, kl, kl_reverse, js, tv_marginal, tv_pairs, nll, nll_bound, kl_bound, total_correlation, chi2_p]
report:
  laws: [1, 2]
  orders: [tv]
"""

#: A chain as data, its exact posterior as teacher, absorbing samplers and the absorbing oracle.
CHAIN = """\
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
    train: {steps: 3, batch: 8}
  rolled:
    method: cdm
    family: {kind: factorized}
    target: {kind: rollout, substeps: 2, draws: 16}
    nfe: [1]
    model: {layers: 1, width: 16, heads: 1}
    train: {steps: 3, batch: 8}
  halved:
    method: progressive
    nfe: [2, 1]
    model: {layers: 1, width: 16, heads: 1}
    train: {steps: 3, batch: 8}
baselines:
  tau_leaping: {nfe: [1, 2]}
  analytic: {nfe: [1, 2]}
  theta_trapezoidal: {nfe: [2]}
  first_hitting: {}
evaluation: {samples: 16, held_out: 32}
"""

DIGITS = """\
name: little-digits
data: {kind: digits}
forward_process: {kind: uniform}
teacher:
  kind: network
  prediction: leave_one_out
  model: {layers: 1, width: 16, heads: 1}
  train: {steps: 4, batch: 8}
students:
  chain:
    method: cdm
    family: {kind: hmm, states: 4}
    nfe: [1, 2]
    target: {kind: rollout, substeps: 2, draws: 32}
    train: {steps: 3, batch: 8}
  causal:
    method: cdm
    family: {kind: autoregressive, window: 2, hidden: 16}
    nfe: [1, 2]
    target: {kind: rollout, substeps: 2, draws: 32}
    train: {steps: 3, batch: 8}
baselines:
  analytic: {nfe: [1, 2]}
evaluation: {samples: 8, held_out: 8}
"""

TEXT = """\
name: little-text
data: {kind: text, file: words.txt, length: 16}
forward_process: {kind: absorbing}
teacher:
  kind: network
  model: {layers: 1, width: 16, heads: 1}
  train: {steps: 4, batch: 8}
students:
  chain:
    method: cdm
    family: {kind: hmm, states: 4}
    nfe: [1, 2]
    target: {kind: rollout, substeps: 2, draws: 32}
    train: {steps: 3, batch: 8}
  labelled:
    method: cdm
    family: {kind: autoregressive, window: 2, hidden: 8}
    nfe: [1, 2]
    target: {kind: soft, labelled: 80, positions: 2}
    train: {steps: 3, batch: 8}
baselines:
  tau_leaping: {nfe: [1, 2]}
evaluation:
  samples: 8
  held_out: 8
  infills: 8
  metrics: [nll_bound, judge_nll, entropy, self_bleu, infill_random_match, infill_middle_nll]
  judge: {kind: network, model: {layers: 1, width: 16, heads: 1}, train: {steps: 4, batch: 8}}
"""


def edited(folder: Path, old: str, new: str) -> Path:
    """The tiny spec with one edit, in its own place so that it is the same file to Snakemake."""
    assert old in TINY
    path = folder / "tiny.yaml"
    path.write_text(TINY.replace(old, new))
    return path


def write_words(path: Path, sentences: int = 3000) -> None:
    """Write a text of made-up sentences, the same every time."""
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 8))) for _ in range(200)]
    text = (" ".join(draw.choices(words, k=draw.randint(4, 12))) + ".\n" for _ in range(sentences))
    path.write_text("".join(text))


def environment(*first: Path) -> dict[str, str]:
    """Environment in which rules find the programs of this Python, with one thread.

    They import from the folders ``first``, and then the `cdmrun` that these tests import, not one of another checkout.
    """
    searched = [*first, Path(cdmrun.__file__).parents[1], *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join(map(str, searched)),
        "OMP_NUM_THREADS": "1",
    }


def run_command(
    *arguments: str | Path, env: Mapping[str, str] | None = None, **options: object
) -> subprocess.CompletedProcess[str]:
    """Run a program of this Python's environment; what it prints is captured."""
    program = [str(Path(sys.executable).parent / str(arguments[0])), *map(str, arguments[1:])]
    surroundings = environment() if env is None else env
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        program, capture_output=True, text=True, env=surroundings, timeout=PATIENCE, check=False, **options
    )


def snakemake_arguments(folder: Path, specs: Sequence[Path]) -> list[str]:
    """Arguments for the real Snakefile and profile, with Snakemake's own state and all results below ``folder``."""
    return [
        *("--snakefile", str(REPOSITORY / "Snakefile"), "--workflow-profile", str(REPOSITORY / "profiles/default")),
        *("--directory", str(folder), "--cores", "2"),
        *("--config", "specs=" + ",".join(map(str, specs)), f"out={folder / 'results'}"),
    ]


def run_workflow(folder: Path, *specs: Path, options: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Run specs through the real Snakefile; results go to ``folder/results``. ``options`` are more of Snakemake's."""
    return run_command("snakemake", *snakemake_arguments(folder, specs), *options)


def planned_jobs(folder: Path, *specs: Path, options: Sequence[str] = ()) -> dict[str, int]:
    """How many jobs of each rule the real Snakefile would run now, `all` left out; empty if there is nothing to do.

    A dry run inside this process: 0.05 s against 2 s for a new one. ``options`` are more of Snakemake's.
    """
    out, code = io.StringIO(), 0
    kept = dict(vars(snakemake_workflow))  # a Snakefile is executed among the globals of this module
    path, variables = os.getcwd(), dict(os.environ)  # and it sets one
    # it takes signals, and keeps them: tests could not be ended any more, nor their children get SIGUSR1
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            snakemake_cli.main(["--dry-run", *snakemake_arguments(folder, specs), *options])
    except SystemExit as stop:
        code = int(stop.code or 0)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.chdir(path)
        os.environ.clear()
        os.environ.update(variables)
        vars(snakemake_workflow).clear()
        vars(snakemake_workflow).update(kept)
    assert code == 0, out.getvalue()
    if "Nothing to be done" in out.getvalue():
        return {}
    stats = out.getvalue().split("Job stats:")[1].split("total")[0]
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", stats, re.MULTILINE) if rule != "all"}


def seconds_of_programs() -> float:
    """Computing time of the programs that this process has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def plan_into(out: Path, *specs: Path) -> Plan:
    """Plan specs and write the run cards below ``out``, as the Snakefile does."""
    plan = build_plan(specs)
    write_cards(plan, out)
    return plan
