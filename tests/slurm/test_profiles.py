"""What the cluster profiles promise, without a cluster."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from workflow_cases import REPOSITORY

CLUSTER = ["slurm", "slurm-generic"]

#: Rule name → what it asks for, as the Snakefile says.
RESOURCES = {
    rule: dict(re.findall(r"(\w+)=([^,\n]+)", resources))
    for rule, resources in re.findall(
        r"^rule (\w+):\n(?:    .*\n|\n)*?    resources: (.*)\n", (REPOSITORY / "Snakefile").read_text(), re.MULTILINE
    )
}


def profile(name: str) -> dict[str, Any]:
    """A profile's keys."""
    return dict(yaml.safe_load((REPOSITORY / "profiles" / name / "profile.yaml").read_text()))


@pytest.mark.parametrize("name", CLUSTER)
def test_repeats_the_default(name: str) -> None:
    """A workflow profile replaces the default one, so that a key left out would be lost."""
    assert profile("default").items() <= profile(name).items()


def test_every_rule_says_what_it_needs() -> None:
    assert {"fetch", "teacher", "student", "samples", "scores", "table", "report"} <= set(RESOURCES)
    for rule, resources in RESOURCES.items():
        assert {"gpu", "mem_mb", "runtime"} <= set(resources), rule
    text = (REPOSITORY / "Snakefile").read_text()
    for word in ("retries", "slurm_account", "slurm_partition"):
        assert word not in text, f"{word} belongs in a profile"


@pytest.mark.parametrize("name", CLUSTER)
def test_first_attempt_gets_what_the_rule_asks_for(name: str) -> None:
    for rule, resources in profile(name)["set-resources"].items():
        for resource, value in resources.items():
            first = re.fullmatch(r"attempt \* (\d+)", value)
            assert first, f"{rule}: {resource} does not grow"
            assert first[1] == RESOURCES[rule][resource], f"{rule}: {resource}"


@pytest.mark.parametrize("script", ["submit.sh", "status.sh"])
def test_scripts_can_be_run(script: str) -> None:
    path = REPOSITORY / "profiles/slurm-generic" / script
    assert path.stat().st_mode & 0o111
    assert f"profiles/slurm-generic/{script}" in str(profile("slurm-generic"))
