"""What the real Snakefile says and still makes where a spec is wrong, or a job fails."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pandas as pd
from workflow_cases import TEXT, TINY, planned_jobs, run_command, run_workflow, write_words


def test_wrong_spec_ends_snakemake_with_its_place(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(TINY.replace("nfe: [2, 1]", "nfe: [2, 0]").replace("kind: factorized", "kind: factorised"))
    done = run_workflow(tmp_path, wrong)
    shown = done.stdout + done.stderr
    assert done.returncode != 0
    assert f"{wrong}:14:20: students.parts.family.kind: 'factorised'" in shown
    assert "did you mean 'factorized'?" in shown
    assert f"{wrong}:20:14: students.halved.nfe[1]: must be at least 1, got 0" in shown
    assert "Traceback" not in shown
    assert not (tmp_path / "results").exists()


def test_failing_experiment_stops_no_other(tmp_path: Path) -> None:
    """A text that only its stage finds too short: the other experiment gets its tables, the report says what failed."""
    (tmp_path / "words.txt").write_text("Too short to be cut into sequences.\n")
    bad, good = tmp_path / "bad.yaml", tmp_path / "good.yaml"
    bad.write_text(TEXT)
    good.write_text(TINY.split("students:")[0] + "baselines:\n  analytic: {nfe: [1]}\nevaluation: {samples: 16}\n")
    done = run_workflow(tmp_path, bad, good)
    shown = done.stdout + done.stderr
    results = tmp_path / "results"
    assert done.returncode != 0
    assert "Traceback" not in shown
    assert len(pd.read_csv(results / "tables/tiny.scores.csv")) == 5
    assert not (results / "report.html").exists()
    (hint,) = (line for line in done.stderr.splitlines() if "cdmrun report --partial" in line)
    # the report as the last message says, and why there is none without the option
    command = shlex.split(hint.split(":", 1)[1])
    refused = run_command(*[word for word in command if word != "--partial"], cwd=tmp_path)
    assert (refused.returncode, "4 products that tables are made of are missing" in refused.stderr) == (1, True)
    made = run_command(*command, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    page = (results / "report.html").read_text()
    failures = page.split('<section id="absent">')[1].split("</section>")[0]
    assert "words.txt: 28 characters after cleaning" in failures
    assert "remedy: give a longer text" in failures
    assert failures.count('class="state failed"') == 1
    assert failures.count("waits for data/text-") == 13
    assert 'id="tiny-tables"' in page
    # the cause removed, the same command goes on: nothing of the other experiment is made again
    write_words(tmp_path / "words.txt")
    jobs = planned_jobs(tmp_path, bad, good)
    assert (jobs["fetch"], jobs["teacher"], jobs["scores"], jobs["table"], jobs["report"]) == (1, 1, 3, 1, 1)


def test_failing_job_keeps_the_rest(folder: Path, tmp_path: Path) -> None:
    """One student's weights are damaged: its own rows are missing, everything else is made, and Snakemake fails."""
    shutil.copytree(folder / "results", tmp_path / "results")
    spec = tmp_path / "tiny.yaml"
    spec.write_text(TINY)
    (weights,) = (tmp_path / "results").glob("students/cdm-joint-*/model.safetensors")
    weights.write_bytes(b"not weights")
    (samples,) = (tmp_path / "results").glob("samples/cdm-joint-*")
    (scores,) = (tmp_path / "results").glob("scores/cdm-joint-*")
    shutil.rmtree(samples)
    shutil.rmtree(scores)
    shutil.rmtree(tmp_path / "results/tables")
    done = run_workflow(tmp_path, spec)
    shown = done.stdout + done.stderr
    assert done.returncode != 0
    assert "model.safetensors: not the weights that model.json beside it describes" in shown
    assert "Traceback" not in shown
    partial = run_command("cdmrun", "table", spec, "--partial", "--out", tmp_path / "results")
    assert partial.returncode == 0, partial.stderr
    left = pd.read_csv(tmp_path / "results/tables/tiny.scores.csv")
    assert set(left.method) == {"tau_leaping", "analytic", "cdm", "progressive"}
    assert set(left.family) == {"factorized"}
