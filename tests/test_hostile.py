"""What a hostile or damaged file can do: be refused by name; nothing of it is run, nothing is written elsewhere."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from workflow_cases import plan_into, run_command, snakemake_arguments

from cdmrun import cli
from cdmrun.errors import UserError
from cdmrun.report.build import write_report, write_tables
from cdmrun.spec.cards import card_path
from cdmrun.spec.load import find_errors
from cdmrun.spec.plan import build_plan
from cdmrun.spec.plan_types import Plan
from cdmrun.stages.run import run_stage
from cdmrun.workflow import Pipeline

SPEC = """\
name: prey
data: {kind: potts_ring, states: 2, length: 2}
forward_process: {kind: uniform}
teacher: {kind: enumerated}
students:
  whole:
    method: cdm
    family: {kind: joint}
    nfe: [1]
    model: {layers: 1, width: 16, heads: 1}
    train: {steps: 2, batch: 4}
evaluation: {samples: 8, metrics: [tv]}
report: {figures: []}
"""
#: What a shell, a path or Snakemake would make something of; each would leave a file called PWNED.
METACHARACTERS = [
    *(
        "a; touch PWNED",
        "$(touch PWNED)",
        "`touch PWNED`",
        "a' && touch PWNED && '",
        'a" | touch PWNED #',
        "a\ntouch PWNED",
    ),
    *(
        "../PWNED",
        "/PWNED",
        "a/b",
        "a b",
        "{run}",
        "{wildcards.run}",
        "*",
        "~",
        "-rf",
        "--out=PWNED",
        "a\n",
        "\0",
        ".",
        "..",
    ),
]


class Payload:
    """Unpickling this makes a file called PWNED."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, ("PWNED", "w")


@pytest.fixture(autouse=True)
def unharmed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Work in an empty folder with neighbours; afterwards nothing called PWNED is anywhere."""
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "precious").write_text("precious")
    monkeypatch.chdir(home)
    yield
    assert not list(tmp_path.rglob("PWNED"))
    assert not Path("/PWNED").exists()
    assert (tmp_path / "precious").read_text() == "precious"


# --- what a spec says


@pytest.mark.parametrize("text", METACHARACTERS)
def test_names_are_plain(text: str) -> None:
    quoted = json.dumps(text)
    for place, spec in {
        "name": SPEC.replace("name: prey", f"name: {quoted}"),
        "students": SPEC.replace("  whole:", f"  {quoted}:"),
        "data.kind": SPEC.replace("potts_ring", quoted),
    }.items():
        Path("a.yaml").write_text(spec)
        found = find_errors([Path("a.yaml")])
        assert found, place
        assert all(error.file == "a.yaml" and error.line >= 1 for error in found)
        # in words for people, a message stays on its line and carries no control character
        assert all("\n" not in str(error) and "\0" not in str(error) for error in found), found


@pytest.mark.parametrize("text", METACHARACTERS)
def test_matrix_values_make_plain_names(text: str) -> None:
    """A title may say anything; the name that an experiment gets from it may not."""
    Path("a.yaml").write_text(SPEC + f"matrix: {{title: [{json.dumps(text)}, other]}}\n")
    for experiment in build_plan([Path("a.yaml")]).experiments:
        assert experiment.name.replace("-", "").isalnum()
        assert experiment.name.startswith("prey-")
        assert experiment.name.isascii()


@pytest.mark.parametrize("text", METACHARACTERS)
def test_paths_in_a_spec_are_only_read(text: str) -> None:
    for data in ("{kind: table, file: %s}", "{kind: text, file: %s, length: 8}"):
        Path("a.yaml").write_text(SPEC.replace("{kind: potts_ring, states: 2, length: 2}", data % json.dumps(text)))
        assert find_errors([Path("a.yaml")])
    Path("a.yaml").write_text(f"extends: {json.dumps(text)}\nname: a\n")
    assert find_errors([Path("a.yaml")])


def test_a_pickled_table_is_not_unpickled() -> None:
    for name, content in {
        "objects.npy": np.array([Payload()], dtype=object),
        "pickle.npy": None,
        "archive.npz": np.array([Payload()], dtype=object),
    }.items():
        if content is None:
            Path(name).write_bytes(pickle.dumps(Payload()))
        elif name.endswith("npz"):
            np.savez(name, a=content)
        else:
            np.save(name, content, allow_pickle=True)
        Path("a.yaml").write_text(
            SPEC.replace("{kind: potts_ring, states: 2, length: 2}", f"{{kind: table, file: {name}}}")
        )
        (error, *_) = find_errors([Path("a.yaml")])
        assert name in error.message
    generator = SPEC.replace("{kind: uniform}", "{kind: matrix, generator: pickle.npy}")
    Path("a.yaml").write_text(generator)
    assert any("pickle.npy" in error.message for error in find_errors([Path("a.yaml")]))


# --- what a command line says, through the real programs


def run_snakemake(folder: Path, specs: str, out: str, *options: str) -> tuple[int, str]:
    arguments = snakemake_arguments(folder, [])
    place = arguments.index("--config")
    done = run_command("snakemake", *arguments[:place], "--config", f"specs={specs}", f"out={out}", *options)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    "out", [text for text in METACHARACTERS if text not in ("../PWNED", "/PWNED", "a/b", "a b", ".", "..")]
)
def test_the_results_folder_has_a_plain_name(out: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.yaml").write_text(SPEC)
    with pytest.raises(SystemExit):
        Pipeline({"specs": "a.yaml", "out": out})
    assert "a results folder's name may have" in capsys.readouterr().err
    assert os.listdir() == ["a.yaml"]


def test_snakemake_ends_with_that_message(tmp_path: Path) -> None:
    Path("a.yaml").write_text(SPEC)
    code, shown = run_snakemake(tmp_path / "home", "a.yaml", "a'; touch PWNED; '$(touch PWNED){run}")
    assert code == 1
    assert "a results folder's name may have" in shown
    assert "Traceback" not in shown


def test_snakemake_takes_digits_for_a_number(tmp_path: Path) -> None:
    """It has forgotten by then how they were written; as a path they are a name, without a warning of Snakemake's."""
    Path("a.yaml").write_text(SPEC)
    code, shown = run_snakemake(tmp_path / "home", "a.yaml", "2024_11_28", "--dry-run")
    assert code == 1
    assert "Snakemake has read this name as the number 20241128" in shown
    assert "Traceback" not in shown
    for out in ("./2024_11_28", "results/"):
        code, shown = run_snakemake(tmp_path / "home", "a.yaml", out, "--dry-run")
        assert code == 0, shown
        assert "teacher" in shown
        assert "elative file path" not in shown
        assert "double" not in shown
    assert sorted(path.name for path in Path().iterdir()) == [".snakemake", "2024_11_28", "a.yaml", "results"]


def test_a_spec_file_may_be_called_anything(tmp_path: Path) -> None:
    """Through the real rules: names of spec files get into shell commands of tables and report."""
    home = tmp_path / "home"
    name = "-a '$(touch PWNED)'; touch PWNED; {run} `touch PWNED` & \".yaml"
    (home / name).write_text(
        SPEC.replace(SPEC[SPEC.index("students:") : SPEC.index("evaluation:")], "baselines: {analytic: {nfe: [1]}}\n")
    )
    code, shown = run_snakemake(home, name, "results in here")
    assert code == 0, shown
    assert (home / "results in here/tables/prey.scores.csv").exists()
    assert (home / "results in here/report.html").exists()
    assert sorted(path.name for path in home.iterdir()) == sorted([".snakemake", name, "results in here"])


@pytest.mark.parametrize(
    "key",
    [
        *(text for text in METACHARACTERS if text != "a/b"),
        "students/../../precious",
        "data/x/../../y-00000000",
        "data/a\n",
    ],
)
@pytest.mark.parametrize("stage", ["train", "fetch"])  # the second takes names of data sets, too
def test_a_job_takes_only_keys(
    stage: str, key: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["cdmrun", stage, "--out", "results", "--", key])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 1
    said = capsys.readouterr().err
    assert "is not the key of a run" in said or (stage == "fetch" and "is not a data set known here" in said)
    assert not Path("results").exists()


# --- what stands in a results folder


class Prey:
    """A results folder in which everything has been made once."""

    def __init__(self, out: Path, plan: Plan) -> None:
        self.out, self.plan = out, plan

    def key(self, kind: str) -> str:
        return next(key for key, run in self.plan.runs.items() if run.kind == kind)

    def again(self, kind: str) -> None:
        """Make one product anew from what is there."""
        key = self.key(kind)
        shutil.rmtree(self.out / key, ignore_errors=True)
        run_stage(self.plan.runs[key].stage, key, self.out, "cpu", 1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Prey:
    folder = tmp_path_factory.mktemp("prey")
    (folder / "a.yaml").write_text(SPEC)
    plan = plan_into(folder / "results", folder / "a.yaml")
    for key, run in plan.runs.items():
        run_stage(run.stage, key, folder / "results", "cpu", 1)
    return Prey(folder / "results", plan)


@pytest.fixture
def prey(made: Prey, tmp_path: Path) -> Prey:
    shutil.copytree(made.out, tmp_path / "home/results")
    return Prey(tmp_path / "home/results", made.plan)


def damages(content: bytes) -> dict[str, bytes]:
    """What becomes of a file: cut short, emptied, overwritten, or a pickle, raw or as NumPy and torch write it."""
    numpy, torched = io.BytesIO(), io.BytesIO()
    np.save(numpy, np.array([Payload()], dtype=object), allow_pickle=True)
    torch.save({"identity": Payload()}, torched)
    return {
        "half": content[: len(content) // 2],
        "all but the end": content[:-7],
        "nothing": b"",
        "noise": b"\x00\xff\x7f{" * 40,
        "a list": b"[1, 2]",
        "pickle": pickle.dumps(Payload()),
        "numpy": numpy.getvalue(),
        "torch": torched.getvalue(),
    }


@pytest.mark.parametrize(
    ("kind", "file", "consumer"),
    [
        ("data", "meta.json", "teachers"),
        ("data", "dataset.npz", "teachers"),
        ("data", "manifest.json", "teachers"),
        ("teachers", "model.json", "students"),
        ("teachers", "model.safetensors", "students"),
        ("teachers", "manifest.json", "students"),
        ("students", "model.safetensors", "samples"),
        ("samples", "samples.npz", "scores"),
    ],
)
def test_a_damaged_input_is_named(prey: Prey, kind: str, file: str, consumer: str) -> None:
    path = prey.out / prey.key(kind) / file
    content = path.read_bytes()
    for how, damage in damages(content).items():
        path.write_bytes(damage)
        with pytest.raises(UserError) as refused:
            prey.again(consumer)
        assert prey.key(kind) in refused.value.message, how
        assert not (prey.out / prey.key(consumer) / "manifest.json").exists(), how
    path.write_bytes(content)
    prey.again(consumer)


def test_a_damaged_card_is_named(prey: Prey) -> None:
    path = card_path(prey.out, prey.key("students"))
    content = path.read_bytes()
    card = json.loads(content)
    hostile = {
        "another key": {**card, "slug": "../../PWNED"},
        "inputs from elsewhere": {**card, "inputs": {**card["inputs"], "teacher": "../../home/results/x-00000000"}},
        "no inputs": {**card, "inputs": ["data"]},
        "of another kind": {**card, "kind": "PWNED"},
    }
    for how, damage in {
        **damages(content),
        **{how: json.dumps(card).encode() for how, card in hostile.items()},
    }.items():
        path.write_bytes(damage)
        with pytest.raises(UserError) as refused:
            prey.again("students")
        assert path.name in refused.value.message, how


def test_a_hostile_checkpoint_is_refused(prey: Prey) -> None:
    key = prey.key("students")
    for how, damage in damages(b"PK\x03\x04 half of a checkpoint").items():
        shutil.rmtree(prey.out / key, ignore_errors=True)
        for name in ("checkpoint.pt", "round-1.pt", "student.pt", "model.pt"):
            path = prey.out / key / "work" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(damage)
        with pytest.raises(UserError, match="checkpoint") as refused:
            run_stage("distill", key, prey.out, "cpu", 1)
        assert "delete the file" in refused.value.remedy, how


@pytest.mark.parametrize(("kind", "file"), [("scores", "scores.json"), ("teachers", "manifest.json")])
def test_tables_are_not_made_of_half_a_file(prey: Prey, kind: str, file: str) -> None:
    path = prey.out / prey.key(kind) / file
    content = path.read_bytes()
    for how, damage in damages(content).items():
        path.write_bytes(damage)
        with pytest.raises(UserError) as refused:
            write_tables(prey.plan, prey.out)
        assert str(path) in refused.value.message, how
    path.write_bytes(content)
    assert write_tables(prey.plan, prey.out)


def test_the_report_shows_what_can_be_read(prey: Prey) -> None:
    """Samples beside the tables are decoration: damaged ones are left out."""
    for kind, file in (("samples", "samples.npz"), ("data", "dataset.npz")):
        path = prey.out / prey.key(kind) / file
        content = path.read_bytes()
        for how in ("half", "pickle", "numpy", "torch"):
            path.write_bytes(damages(content)[how])
            assert "prey-tables" in write_report(prey.plan, prey.out).read_text()
        path.write_bytes(content)


def test_a_lock_that_leads_out_is_not_written_through(prey: Prey, tmp_path: Path) -> None:
    key = prey.key("samples")
    shutil.rmtree(prey.out / key)
    (prey.out / key).mkdir()
    (prey.out / key / ".lock").symlink_to(tmp_path / "precious")
    with pytest.raises((UserError, OSError)):
        run_stage("sample", key, prey.out, "cpu", 1)
