"""Where a product comes from: commit, fingerprint of the code that made it, versions, device, hashes."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import platform
import resource
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from cdmrun.plugins import installed_plugins

PACKAGE = Path(__file__).parents[1]

#: What whoever asks a model depends on, and what draws clean training sequences.
_MODELS = ("processes", "models", "data/chain.py", "stages/build.py", "stages/randomness.py")
_CLEAN = ("training/sources.py", "stages/train.py")

#: The source folders or files that decide what each stage computes; tests hold this against what stages import.
SOURCES: dict[str, tuple[str, ...]] = {
    "fetch": ("data", "stages/fetch.py"),
    "judge": (
        *("metrics/ngram.py", "metrics/network_judge.py", "models/trunk.py", "models/operations.py"),
        *("models/compiling.py", "training", "stages/judge.py", "stages/build.py", "stages/randomness.py"),
    ),
    "features": (
        *("metrics/features.py", "metrics/image_features.py", "metrics/frechet.py", "metrics/chemnet.py"),
        *("metrics/molecules.py", "metrics/held_out.py", "stages/features.py"),
    ),
    "anchor": (
        *("metrics", "models/trunk.py", "models/operations.py", "processes/draws.py", "data/chain.py"),
        *("data/leakage.py", "stages/anchor.py", "stages/features.py", "stages/rows.py", "stages/randomness.py"),
    ),
    "train": (*_MODELS, "training", "stages/train.py"),
    "draw": (*_MODELS, *_CLEAN, "samplers", "stages/draw.py", "stages/blocks.py"),
    "label": (*_MODELS, *_CLEAN, "distill/labels.py", "distill/steps.py", "stages/label.py"),
    "distill": (*_MODELS, "samplers", "training", "distill", "stages/train.py", "stages/distill.py"),
    "optimise": (
        *(*_MODELS, *_CLEAN, "samplers", "metrics/nll_bound.py", "metrics/exact.py", "metrics/time_grids.py"),
        "stages/optimise.py",
    ),
    "sample": (*_MODELS, "samplers", "stages/sample.py", "stages/blocks.py"),
    "evaluate": (
        *(*_MODELS, "samplers", "metrics", "data/leakage.py", "stages/evaluate.py", "stages/features.py"),
        "stages/rows.py",
    ),
}

LIBRARIES = (
    "torch",
    "numpy",
    "scipy",
    "safetensors",
    "sacrebleu",
    "scikit-learn",
    "snakemake",
    "pandas",
    "rdkit",
    "fcd-torch",
)


@cache
def fingerprint(stage: str, *sources: Path) -> str:
    """Twelve hex digits over the source files that decide what a stage computes; ``sources`` are those of plugins."""
    digest = hashlib.sha256()
    for source in SOURCES[stage]:
        path = PACKAGE / source
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(str(file.relative_to(PACKAGE)).encode())
            digest.update(file.read_bytes())
    for file in sources:
        digest.update(file.name.encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def code_state(stage: str, *sources: Path) -> dict[str, Any]:
    """Commit, whether the working tree differs from it, and the stage's fingerprint."""
    status = _git("status", "--porcelain", "--untracked-files=no")
    return {"commit": _git("rev-parse", "HEAD"), "dirty": bool(status), "fingerprint": fingerprint(stage, *sources)}


def versions() -> dict[str, str]:
    """Versions of Python, cdmrun, the libraries that decide results, and installed plugins."""
    found = {"python": platform.python_version(), "cdmrun": importlib.metadata.version("cdmrun")}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found | {plugin.package: plugin.version for plugin in installed_plugins()}


def machine() -> dict[str, Any]:
    """The processor's name, its cores, and main memory in bytes, as far as the system tells."""
    name = platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    memory = None
    with contextlib.suppress(ValueError, OSError, AttributeError):
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cpu": name or platform.machine(), "cores": os.cpu_count(), "memory_bytes": memory}


def peak_memory_bytes() -> int:
    """Most resident memory this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(PACKAGE), *arguments], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
