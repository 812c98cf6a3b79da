"""Everything that `make bench` measures, and one table of it: ``python benchmarks/bench.py [--out DIR]``.

Runs the other benchmarks one after another, each in a process of its own, and writes ``bench/bench.json`` (all that
they measured) and ``bench/bench.md`` (the summary and their tables) below the results folder. What they measure is said
by their own ``--help``: peers, students, runner, exact_teachers, families.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from measuring import Setting, Spread, machine, table
from students import times_text

from cdmrun.files import write_atomic, write_json

HERE = Path(__file__).resolve().parent
PARTS = ("peers", "students", "runner", "exact_teachers", "families")

#: What each summary is held against: times as fast as the fastest peer, of a training step and of a network call; times
#: faster of a student at its teacher's quality; the runner's share, and seconds of doing nothing and of a large plan.
STEP, CALL, STUDENT, SHARE, NOTHING, PLANNED = 1.5, 2.0, 8.0, 0.03, 5.0, 20.0


@dataclass(frozen=True)
class Line:
    """A line of the summary; ``reached`` is nothing where there is no goal."""

    what: str
    value: float
    measured: str
    goal: str = ""
    reached: bool | None = None


def main() -> int:
    """Run the parts, print the summary, write both files; 1 if a part failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, default=Path("results"), metavar="DIR", help="results folder (default results)"
    )
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=f"of {', '.join(PARTS)}"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default 1)")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="default cpu; cuda was not tried")
    parser.add_argument("--precision", choices=["float32", "bf16"], default="float32", help="of the peers' comparison")
    parser.add_argument("--compile", action="store_true", help="peers' comparison through torch.compile")
    parser.add_argument("--quick", action="store_true", help="whether peers and students run at all; no measurement")
    options = parser.parse_args()
    began = time.monotonic()
    measured: dict[str, Any] = {}
    texts: dict[str, str] = {}
    for part in options.only:
        print(f"{part}:", file=sys.stderr)
        found = run(part, arguments(part, options))
        if found is not None:
            measured[part], texts[part] = found
    minutes = (time.monotonic() - began) / 60.0
    lines = list(summary(measured))
    setting = Setting(options.device, options.threads, options.precision, options.compile)
    record = {"machine": machine(setting), "minutes": minutes, "summary": [asdict(line) for line in lines], **measured}
    shown = page(record["machine"], minutes, lines)
    write_json(options.out / "bench/bench.json", record)
    write_atomic(options.out / "bench/bench.md", page_with(shown, texts))
    print(shown)
    print(f"written: {options.out / 'bench/bench.json'}, {options.out / 'bench/bench.md'}", file=sys.stderr)
    return int(len(measured) < len(options.only))


def arguments(part: str, options: argparse.Namespace) -> list[str]:
    """What a part is told."""
    if part in ("students", "runner"):
        return ["--results", str(options.out)]
    told = ["--threads", str(options.threads)]
    if part in ("peers", "families"):
        told += ["--device", options.device]
    if part == "peers":
        told += ["--precision", options.precision]
        told += ["--compile"] * options.compile + ["--quick"] * options.quick
    return told


def run(part: str, told: Sequence[str]) -> tuple[Any, str] | None:
    """What a part measured and printed; nothing, and a word about it, if it failed."""
    with tempfile.TemporaryDirectory(prefix="cdmrun-bench-") as folder:
        path = Path(folder) / "measured.json"
        command = [sys.executable, str(HERE / f"{part}.py"), *told, "--json", str(path)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            print(f"  {part} failed, the summary is without it", file=sys.stderr)
            return None
        return json.loads(path.read_text()), done.stdout


def summary(measured: Mapping[str, Any]) -> Iterator[Line]:
    """The ratios that this project sets itself."""
    if "peers" in measured:
        yield from of_peers(measured["peers"])
    if "students" in measured:
        yield from of_students(measured["students"])
    if "runner" in measured:
        yield from of_runner(measured["runner"])


def of_peers(record: Mapping[str, Any]) -> Iterator[Line]:
    """Speed against the fastest peer, shares of the matrix rate, memory."""
    for kind, unit, goal in (("training", "training step", STEP), ("sampling", "network call", CALL)):
        for found in record[kind]:
            what = f"{unit}, batch {found['batch']}: times as fast as"
            value = Spread(**found["times_as_fast"])
            label = found["fastest_peer"]
            yield Line(f"{what} {label}", value.median, value.text(2, "×"), f"≥ {goal:g}×", value.median >= goal)
            value, label = Spread(**found["times_as_fast_same_network"]), found["fastest_peer_same_network"]
            yield Line(f"{what} {label}", value.median, value.text(2, "×"))
            share = Spread(**found["share_of_matrix_rate"]["square"])
            what = f"{unit}, batch {found['batch']}: share of the rate of matrix products"
            yield Line(what, share.median, share.times(100).text(0, " %"))
            if kind == "training":
                peaks = {each["label"]: each["megabytes"] for each in found["contenders"]}
                ratio = peaks[found["fastest_peer"]] / next(iter(peaks.values()))
                what = f"{unit}, batch {found['batch']}: peak memory of {found['fastest_peer']} by cdmrun's"
                yield Line(what, ratio, f"{ratio:.2f}×")


def of_students(found: Sequence[Mapping[str, Any]]) -> Iterator[Line]:
    """The students that the teacher taught: how much faster they reach its quality, or that they do not."""
    for each in found:
        if each["metric"] != "nll_bound" or each["control"]:
            continue
        if not each["calls"]:
            what = f"{each['experiment']}, {each['name']}: quality of the teacher's {each['teacher_calls']} calls"
            yield Line(what, 0.0, "not reached", f"≥ {STUDENT:g}× as fast", False)
        else:
            calls = f"{each['calls']} call{'s' * (each['calls'] > 1)} for the teacher's {each['teacher_calls']}"
            what = f"{each['experiment']}, {each['name']}: times faster a sample, {calls}"
            times = each["times_faster"]
            yield Line(what, times, times_text(each), f"≥ {STUDENT:g}×", times >= STUDENT)


def of_runner(record: Mapping[str, Any]) -> Iterator[Line]:
    """What the runner costs."""
    lines = {(line["series"], line["case"]): line for line in record["measured"]}
    for series in ("cdmrun plan, experiments", "snakemake --dry-run, experiments"):
        last = [line for (name, _), line in lines.items() if name == series][-1]
        yield _seconds(f"{series.removesuffix(', experiments')} of {last['count']:,} experiments", last, PLANNED)
    yield _seconds("a run with nothing to do", lines["nothing to do", "finished folder"], NOTHING)
    for way in ("warm", "cold"):
        seconds = lines["added to a tiny job", way]["wall_seconds"]
        yield Line(f"added to a tiny job, {way}", seconds, f"{seconds:.2f} s")
    for title, shares in record["shares"].items():
        if title != "the tiny jobs, cold":
            whole, own = (sum(share[key] for share in shares) for key in ("seconds", "own_seconds"))
            share = 1.0 - own / whole
            yield Line(f"the runner's share of {title}", share, f"{share:.1%}", f"< {SHARE:.0%}", share < SHARE)


def _seconds(what: str, line: Mapping[str, Any], goal: float) -> Line:
    """Judged by the processor's seconds, which are the clock's on a machine with nothing else to do."""
    seconds = line["processor_seconds"]
    text = f"{seconds:.1f} s ({line['wall_seconds']:.1f} s by the clock)"
    return Line(what, seconds, text, f"< {goal:g} s", seconds < goal)


def page(record: Mapping[str, Any], minutes: float, lines: Sequence[Line]) -> str:
    """The summary."""
    said = {True: "yes", False: "**no**", None: ""}
    rows = [[line.what, line.measured, line.goal, said[line.reached]] for line in lines]
    where = (
        f"{record['cpu']} ({record['instructions']}), {record['cores']} cores"
        f"{', ' + record['accelerator'] if record['accelerator'] else ''}; torch {record['torch']}, "
        f"{record['threads']} thread{'s' * (record['threads'] > 1)}, {record['precision']}"
        f"{', compiled' if record['compiled'] else ''}; {minutes:.1f} minutes. Medians (quartiles)."
    )
    return f"{table(['', 'measured', 'goal', 'reached'], rows)}\n\n{where}\n"


def page_with(shown: str, texts: Mapping[str, str]) -> str:
    """The summary, and all that the parts printed."""
    blocks = [f"# What cdmrun costs\n\n{shown}"]
    for part, text in texts.items():
        body = text.strip() if part in ("peers", "students") else f"```\n{text.strip()}\n```"
        blocks.append(f"## {part}\n\n{body}\n")
    return "\n".join(blocks)


if __name__ == "__main__":
    sys.exit(main())
