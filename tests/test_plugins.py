"""A third-party package (tests/plugin_package), installed by pip: its members in specs, jobs and manifests.

Everything runs in processes of its own, as it does for those who install such a package.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from workflow_cases import REPOSITORY, environment, run_command, snakemake_arguments

PACKAGE = Path(__file__).with_name("plugin_package")
MODULE = "cdmrun_bars"

SPEC = """\
name: bars
data: {kind: bars, noise: 0.1}
forward_process: {kind: cyclic}
teacher: {kind: enumerated}
students:
  sharp:
    method: likelihood
    family: {kind: sharpened, temperature: 0.8}
    nfe: [1, 2]
    model: {layers: 1, width: 8, heads: 1}
    train: {steps: 3, batch: 8}
baselines:
  analytic: {nfe: [1, 2]}
  warped: {nfe: [1, 2], power: 3}
evaluation: {samples: 16, metrics: [tv, kl_bound, repeats]}
"""

Program = Callable[..., subprocess.CompletedProcess[str]]


def install(package: Path, site: Path) -> None:
    """Install a package into a folder of its own; nothing is fetched."""
    copied = site.with_name(f"{site.name}-source")  # pip leaves a build folder beside what it builds
    shutil.copytree(package, copied)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--no-build-isolation", "--target", str(site), str(copied)], check=True)


def program(site: Path, folder: Path) -> Program:
    """A way to run programs that see what is installed in ``site``, in ``folder``."""

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        variables = {**environment(site), "CDMRUN_WARM": "0"}  # no nursery stays behind
        return run_command(*arguments, env=variables, cwd=folder)

    return run


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed") / "site"
    install(PACKAGE, folder)
    return folder


@pytest.fixture
def call(site: Path, tmp_path: Path) -> Program:
    (tmp_path / "bars.yaml").write_text(SPEC)
    return program(site, tmp_path)


@pytest.fixture(scope="module")
def finished(site: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Program, Path]:
    """The spec, run through the real Snakefile."""
    folder = tmp_path_factory.mktemp("bars")
    spec = folder / "bars.yaml"
    spec.write_text(SPEC)
    run = program(site, folder)
    done = run("snakemake", *snakemake_arguments(folder, [spec]))
    assert done.returncode == 0, done.stdout + done.stderr
    return run, folder


def test_its_members_are_in_the_schema(call: Program) -> None:
    schema = json.loads(call("cdmrun", "schema", "--text").stdout)
    assert "bars" in schema["$defs"]["data"]["properties"]["kind"]["enum"]
    assert "warped" in schema["properties"]["baselines"]["properties"]
    assert json.loads(call("cdmrun", "schema", "--text").stdout)["$defs"]["process_cyclic"]["properties"]["schedule"]


def test_without_the_package_its_members_are_unknown(tmp_path: Path) -> None:
    (tmp_path / "bars.yaml").write_text(SPEC)
    bare = program(tmp_path / "nowhere", tmp_path)("cdmrun", "validate", "bars.yaml")
    assert bare.returncode == 1
    assert "bars.yaml:2:14: data.kind: 'bars' is not one of kjv, text" in bare.stdout


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("noise: 0.1", "niose: 0.1", "2:20: data.niose: unknown key 'niose' (did you mean 'noise'?)"),
        ("noise: 0.1", "noise: 1", "2:27: data.noise: must be less than 1, got 1"),
        ("kind: cyclic", "kind: cyclc", "3:25: forward_process.kind: 'cyclc' is not one of"),
        ("power: 3", "power: fast", "14:32: baselines.warped.power: expected a number, got 'fast'"),
        ("    family: {kind: sharpened, temperature: 0.8}\n", "", "6:3: students.sharp.family: missing"),
    ],
)
def test_mistakes_in_its_options_are_found_where_they_are(
    call: Program, tmp_path: Path, right: str, wrong: str, message: str
) -> None:
    assert right in SPEC
    (tmp_path / "bars.yaml").write_text(SPEC.replace(right, wrong))
    told = call("cdmrun", "validate", "bars.yaml")
    assert told.returncode == 1
    assert message in told.stdout


def test_tables_have_its_members(finished: tuple[Program, Path]) -> None:
    table = (finished[1] / "results/tables/bars.md").read_text()
    assert re.search(r"\| warped +\| factorized", table)
    assert re.search(r"\| likelihood +\| sharpened", table)
    assert "**repeats → data**" in table


def test_manifests_name_the_package_and_its_version(finished: tuple[Program, Path]) -> None:
    manifests = list((finished[1] / "results").glob("*/*/manifest.json"))
    assert len(manifests) == 1 + 1 + 1 + 1 + 3 + 3  # data, anchors, teacher, student, samples, scores
    for manifest in manifests:
        assert json.loads(manifest.read_text())["versions"]["cdmrun-bars"] == "0.1.0"


def test_a_changed_plugin_makes_stale_what_it_made(finished: tuple[Program, Path], site: Path) -> None:
    call, _ = finished

    def states() -> dict[str, str]:
        told = json.loads(call("cdmrun", "status", "bars.yaml", "--out", "results", "--json").stdout)
        return {key.rsplit("-", 1)[0]: state["state"] for key, state in told.items()}

    assert set(states().values()) == {"fresh"}
    source = site / f"{MODULE}.py"
    before = source.read_text()
    try:
        source.write_text(before + "\n# changed\n")
        after = states()
    finally:
        source.write_text(before)
    scores = {key for key in after if key.startswith("scores/")}  # all have the metric
    made_by_it = scores | {
        "data/bars",
        "anchors/bars",
        "teachers/enumerated-cyclic-bars",
        "samples/warped-bars",
        "students/likelihood-sharpened-bars",
    }
    assert {key for key, state in after.items() if state == "stale-code"} == made_by_it
    assert after["samples/analytic-bars"] == "stale-upstream"


def test_the_walk_over_all_members_passes_for_it(site: Path, call: Program) -> None:
    chosen = " or ".join(("bars", "cyclic", "sharpened", "likelihood", "warped", "repeats"))
    walked = call("python", "-m", "pytest", "-p", "no:cacheprovider", REPOSITORY / "tests/members", "-k", chosen)
    assert walked.returncode == 0, walked.stdout
    passed = re.search(r"^(\d+) passed", walked.stdout, re.MULTILINE)
    assert passed, walked.stdout
    assert int(passed[1]) >= 4 * 6, "three checks of every member, and one of its kind"


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ("import no_such_module\n", "cannot be loaded: ModuleNotFoundError: No module named 'no_such_module'"),
        ("MEMBERS = (1,)\n", "lists 1, which is no member"),
        (
            "from cdmrun.registry import ProcessMember\n"
            "MEMBERS = (ProcessMember(name='uniform', implementation='a:b', description='Mine.', options={}),)\n",
            "forward process 'uniform' is already there, from cdmrun",
        ),
        (
            "from cdmrun.registry import ProcessMember\n"
            "MEMBERS = (ProcessMember(name='mine', implementation='a:b'),)\n",
            "forward process mine declares no options",
        ),
        (
            "from cdmrun.registry import ProcessMember\n"
            "own = {'drift': {'$ref': '#/$defs/drift', 'description': 'How often.'}}\n"
            "MEMBERS = (ProcessMember(name='mine', implementation='a:b', description='Mine.', options=own),)\n",
            "forward process mine: option drift: '#/$defs/drift' is not in the schema",
        ),
        (
            "from cdmrun.registry import ProcessMember\n"
            "own = {'drift': {'type': 'real', 'description': 'How often.'}}\n"
            "MEMBERS = (ProcessMember(name='mine', implementation='a:b', description='Mine.', options=own),)\n",
            "forward process mine: option drift: 'real' is not valid",
        ),
    ],
)
def test_a_broken_plugin_says_whose_it_is_and_how_to_be_rid_of_it(
    site: Path, tmp_path: Path, broken: str, why: str
) -> None:
    other = tmp_path / "site"
    shutil.copytree(site, other, ignore=shutil.ignore_patterns("__pycache__"))
    (other / f"{MODULE}.py").write_text(broken)
    (tmp_path / "bars.yaml").write_text(SPEC)
    told = program(other, tmp_path)("cdmrun", "validate", "bars.yaml")
    assert told.returncode == 1
    assert "Traceback" not in told.stderr
    assert "plugin cdmrun-bars 0.1.0: " in told.stderr
    assert why in told.stderr
    assert "python -m pip uninstall cdmrun-bars" in told.stderr


def test_the_tutorial_shows_this_very_package() -> None:
    tutorial = (REPOSITORY / "docs/extending.md").read_text()
    blocks = re.findall(r"^```\w+\n(.*?)^```$", tutorial, re.MULTILINE | re.DOTALL)
    assert (PACKAGE / f"{MODULE}.py").read_text() in blocks
    assert (PACKAGE / "pyproject.toml").read_text() in blocks
    assert SPEC in blocks
