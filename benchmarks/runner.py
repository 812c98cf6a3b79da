"""What the runner itself costs: ``python benchmarks/runner.py [--json FILE] [--results DIR]``.

A finished results folder is run again, matrices of up to 1,000 experiments are planned, and tiny jobs are run one after
another, forked from a process that has the libraries loaded (warm) and each by itself (cold). Seconds are of the wall
clock and, where all processes can be waited for, of the processor; ratios of the first suffer less on a busy machine.
Of a results folder, tiny or your own, it adds up what jobs took by Snakemake's clock and by their own.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]

#: Jobs of well under a second, all but independent: one for each seed and stage, and two methods.
SPEC = """\
name: tiny
seeds: {seeds}
data: {{kind: potts_ring, states: 2, length: 2}}
forward_process: {{kind: uniform}}
teacher: {{kind: enumerated}}
students:
  whole:
    method: cdm
    family: {{kind: joint}}
    nfe: [1]
    model: {{layers: 1, width: 16, heads: 1}}
    train: {{steps: 2, batch: 8}}
baselines:
  analytic: {{nfe: [1]}}
evaluation: {{samples: 16}}
"""


@dataclass(frozen=True)
class Seconds:
    """How long a program ran, by the clock, and on the processor with all that it waited for."""

    wall: float
    processor: float


@dataclass(frozen=True)
class Measured:
    """One line of a series: what, how many (experiments or jobs), seconds, and the ratio to the first of its series."""

    series: str
    case: str
    count: int
    wall_seconds: float
    processor_seconds: float | None
    ratio: float


@dataclass(frozen=True)
class Share:
    """Jobs of one kind: how many, their seconds by Snakemake's clock, and by their own (from manifests)."""

    kind: str
    jobs: int
    seconds: float
    own_seconds: float

    @property
    def runner(self) -> float:
        """The share of the time that is not a job's own: starting it, loading libraries, writing its manifest."""
        return 1.0 - self.own_seconds / self.seconds if self.seconds else 0.0


def main() -> None:
    """Measure everything, print it as tables, and write it to a file if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all measurements to FILE")
    parser.add_argument("--results", type=Path, metavar="DIR", help="a results folder whose jobs are added up too")
    parser.add_argument("--experiments", type=int, default=1000, help="of the largest matrix (default 1000)")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of the tiny experiment, 3 jobs each (default 3)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cdmrun-bench-") as name:
        folder = Path(name)
        measured = [*plans(folder, options.experiments), *jobs(folder, options.seeds)]
        shares = {"the tiny jobs, cold": list(added_up(folder / "cold"))}
    if options.results and (options.results / "benchmarks").is_dir():
        shares[str(options.results)] = list(added_up(options.results))
    print("\n\n".join([*table(measured), *(share_table(title, found) for title, found in shares.items())]))
    if options.json:
        record = {
            "measured": [asdict(line) for line in measured],
            "shares": {
                title: [{**asdict(share), "runner_share": share.runner} for share in found]
                for title, found in shares.items()
            },
        }
        options.json.write_text(json.dumps(record, indent=1) + "\n")


def plans(folder: Path, most: int) -> Iterator[Measured]:
    """`cdmrun plan` and a dry run of Snakemake for more and more experiments, each with a student of its own."""
    counts = sorted({1, 10, 100, most})
    for program in ("cdmrun plan", "snakemake --dry-run"):
        first: Seconds | None = None
        for count in counts:
            spec = folder / f"matrix-{count}.yaml"
            steps = f"matrix: {{students.whole.train.steps: {list(range(1, count + 1))}}}\n"
            spec.write_text(SPEC.format(seeds=[0]) + steps)
            command = plan_command(spec, folder) if program == "cdmrun plan" else workflow(spec, folder / "none", "-n")
            taken = timed(command, folder)
            first = first or taken
            ratio = taken.processor / first.processor
            yield Measured(f"{program}, experiments", f"{count:,}", count, taken.wall, taken.processor, ratio)
            print(f"  {program}: {count} in {taken.processor:.1f} s", file=sys.stderr)


def jobs(folder: Path, seeds: int) -> Iterator[Measured]:
    """Tiny jobs cold and warm, what each adds beyond its own seconds, and the finished folder run again."""
    spec = folder / "tiny.yaml"
    spec.write_text(SPEC.format(seeds=list(range(seeds))))
    again, added, count = Seconds(0.0, 0.0), {}, 0
    for way, warm in (("cold", "0"), ("warm", "1")):
        command = workflow(spec, folder / way)
        whole = timed(command, folder, CDMRUN_WARM=warm)
        again = timed(command, folder, CDMRUN_WARM=warm)
        shares = list(added_up(folder / way))
        count = sum(share.jobs for share in shares)
        added[way] = (whole.wall - again.wall - sum(share.own_seconds for share in shares)) / count
        print(f"  jobs: {way}, {added[way]:.1f} s each", file=sys.stderr)
    bare = timed([sys.executable, "-c", "import snakemake.cli"], folder)
    series = "nothing to do"
    yield Measured(series, "import snakemake", 0, bare.wall, bare.processor, 1.0)
    yield Measured(series, "finished folder", count, again.wall, again.processor, again.processor / bare.processor)
    for way, seconds in added.items():
        yield Measured("added to a tiny job", way, count, seconds, None, seconds / added["cold"])


def plan_command(spec: Path, folder: Path) -> list[str]:
    """`cdmrun plan` of a spec."""
    return [sys.executable, "-m", "cdmrun", "plan", str(spec), "--json", "--out", str(folder / "none")]


def workflow(spec: Path, out: Path, *options: str) -> list[str]:
    """The real Snakefile, one job at a time."""
    return [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile"), "--cores", "1"),
        *("--workflow-profile", str(REPOSITORY / "profiles/default"), *options),
        *("--config", f"specs={spec}", f"out={out}"),
    ]


def timed(command: Sequence[str], folder: Path, **variables: str) -> Seconds:
    """Run a program, which must end well, and wait for it."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PATH": path, **variables}, capture_output=True, text=True
    )
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        )
    return Seconds(wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


def added_up(results: Path) -> Iterator[Share]:
    """The jobs of a results folder whose product is there; one that was begun more than once counts its last start."""
    for folder in sorted((results / "benchmarks").iterdir()):
        found = [(tsv, results / folder.name / tsv.stem / "manifest.json") for tsv in folder.glob("*.tsv")]
        pairs = [(tsv, manifest) for tsv, manifest in found if manifest.exists()]
        if pairs:
            seconds = sum(_snakemakes_seconds(tsv) for tsv, _ in pairs)
            own = sum(float(json.loads(manifest.read_text())["wall_seconds"]) for _, manifest in pairs)
            yield Share(folder.name, len(pairs), seconds, own)


def _snakemakes_seconds(tsv: Path) -> float:
    with tsv.open() as lines:
        return sum(float(row["s"]) for row in csv.DictReader(lines, delimiter="\t"))


def table(measured: Sequence[Measured]) -> Iterator[str]:
    """One block of text a series; ratios are to its first case."""
    for series in dict.fromkeys(line.series for line in measured):
        lines = [series, f"  {'':>18} {'wall s':>9} {'processor s':>12} {'ratio':>8}"]
        for line in (line for line in measured if line.series == series):
            processor = "–" if line.processor_seconds is None else f"{line.processor_seconds:.2f}"
            lines.append(f"  {line.case:>18} {line.wall_seconds:9.2f} {processor:>12} {line.ratio:7.2f}×")
        yield "\n".join(lines)


def share_table(title: str, shares: Sequence[Share]) -> str:
    """What jobs took and what of it was the runner's."""
    whole = Share("all", *(sum(getattr(s, name) for s in shares) for name in ("jobs", "seconds", "own_seconds")))
    lines = [f"the runner's share of {title}", f"  {'':>18} {'jobs':>9} {'seconds':>12} {'their own':>10} {'share':>8}"]
    for share in (*shares, whole):
        numbers = f"{share.jobs:9d} {share.seconds:12.1f} {share.own_seconds:10.1f} {share.runner:8.1%}"
        lines.append(f"  {share.kind:>18} {numbers}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
