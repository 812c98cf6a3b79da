"""A made-up results folder: a real `Plan`, and every file that a report reads, in the formats that stages write."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cdmrun.data.dataset import Dataset
from cdmrun.spec.plan_types import Entry, Experiment, Plan, Run

ALPHABET = "abcdefghijklmnopqrstuvwxyz "
SEEDS = (0, 1, 2)
#: method, family, name, role, NFE
LINES = (
    ("tau_leaping", "factorized", "tau_leaping", "baseline", (1, 2, 4, 8, 16, 32, 64)),
    ("analytic", "factorized", "analytic", "baseline", (1, 2, 4, 8, 16, 32, 64)),
    ("progressive", "factorized", "progressive", "student", (1, 2, 4, 8)),
    ("cdm", "factorized", "cdm-factorized", "student", (1, 2, 4, 8)),
    ("cdm", "hmm", "cdm-hmm", "student", (1, 2, 4, 8)),
    ("cdm", "autoregressive", "cdm-ar", "student", (1, 2, 4, 8)),
)
#: An exact simulation: it has no NFE to choose, and needs a little more with each seed.
ORACLE = ("uniformization", "factorized", "uniformization", "oracle", ())
#: What a run's code depends on besides its stage: the kind of data.
CONFIGS: dict[str, dict[str, Any]] = {"data": {"kind": "digits"}}
ORACLE_METRICS = ("entropy", "judge_nll", "self_bleu", "chi2_p")
_LEVEL = {
    "tau_leaping": 0.5,
    "analytic": 0.3,
    "progressive": 0.25,
    "cdm-factorized": 0.3,
    "cdm-hmm": 0.0,
    "cdm-ar": -1.0,
}


def oracle_nfe(seed: int) -> float:
    """Network calls a sample that a made-up exact simulation counted."""
    return 11.25 + 0.5 * seed


def nll(name: str, nfe: int, seed: int) -> float:
    """A plausible held-out bound: falls with NFE, the joint families start low."""
    start = {"cdm-hmm": 3.2, "cdm-ar": 2.3}.get(name, 4.06)
    return round(2.1 + (start - 2.1) / nfe**0.6 + 0.05 * max(_LEVEL[name], 0) + 0.004 * (seed - 1), 6)


def value_of(metric: str, name: str, nfe: int, seed: int) -> float:
    """What the made-up run scored."""
    if metric in ("nll_bound", "nll"):
        return nll(name, nfe, seed)
    if metric == "judge_nll":
        return round(2.5 + (nll(name, nfe, 1) - 2.1) * 3 + 0.03 * (seed - 1) + 0.001 * nfe, 6)
    if metric == "entropy":
        return round(4.0 - 0.02 * nfe**0.5 + 0.01 * (seed - 1), 6)
    return round((0.7 + 0.1 * _LEVEL[name]) / nfe ** (1 + 0.05 * (seed - 1)) * (1e-3 if name == "cdm-ar" else 1), 9)


class Builder:
    """Writes products into a results folder and keeps the plan that asks for them."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.runs: dict[str, Run] = {}
        self.experiments: list[Experiment] = []

    def plan(self) -> Plan:
        return Plan(self.runs, tuple(self.experiments))

    def product(self, kind: str, slug: str, identity: str, inputs: dict[str, str], **files: Any) -> str:
        run = Run(kind, slug, identity, CONFIGS.get(kind, {}), inputs)
        self.runs[run.key] = run
        folder = self.out / run.key
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            if isinstance(content, dict) and name.endswith("npz"):
                np.savez(folder / f"{name.removesuffix('_npz')}.npz", **content)
            else:
                (folder / f"{name}.json").write_text(json.dumps(content))
        manifest = {
            "key": run.key,
            "kind": kind,
            "stage": run.stage,
            "config": {},
            "inputs": inputs,
            "outputs": {},
            "code": {"commit": "0123456789abcdef0123", "dirty": False, "fingerprint": f"{run.stage}-1"},
            "versions": {"python": "3.11.7", "torch": "2.13.0", "cdmrun": "0.1.0"},
            "device": "cpu",
            "threads": 1,
            "wall_seconds": 83.2,
            "peak_memory_bytes": 312 * 2**20,
            "command": f"cdmrun {run.stage}",
        }
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return run.key

    def experiment(
        self,
        name: str,
        metrics: tuple[str, ...],
        data: str = "text",
        title: str = "",
        description: str = "",
        lines: tuple[tuple[str, str, str, str, tuple[int, ...]], ...] = LINES,
        seeds: tuple[int, ...] = SEEDS,
        value: Callable[[str, str, int, int], float] = value_of,
        report: dict[str, Any] | None = None,
        estimates: dict[str, str] | None = None,
        settings: dict[str, Any] | None = None,
        table: np.ndarray | None = None,
        law: Callable[[str, int], np.ndarray] | None = None,
    ) -> Experiment:
        """Add an experiment with all its products.

        ``settings`` replace sections of its spec, ``table`` is the law of enumerable data, ``law`` gives the output law
        of a line at an NFE; without it the scores products hold no laws.
        """
        data_key = self.product("data", name, "00000000", {})
        _data(data, table).save(self.out / data_key)
        teacher = self.product("teachers", f"network-{name}", "11111111", {"data": data_key})
        entries = []
        for index, (method, family, line, role, nfe) in enumerate(lines):
            for seed in seeds:
                model = teacher
                if role == "student":
                    identity = f"2{index:03d}{seed:04d}"
                    model = self.product("students", f"{line}-{name}", identity, {"data": data_key, "teacher": teacher})
                inputs = {"model": model, "teacher": teacher}
                rng = np.random.default_rng([index, seed])
                drawn = {f"nfe_{n}": _draw(rng, data, n) for n in nfe or (round(oracle_nfe(seed)),)}
                identity = f"3{index:03d}{seed:04d}"
                samples = self.product("samples", f"{line}-{name}", identity, inputs, samples_npz=drawn)
                content = _scores(line, role, nfe, seed, metrics, value, estimates or {})
                inputs = {**inputs, "samples": samples, "data": data_key}
                identity = f"4{index:03d}{seed:04d}"
                files: dict[str, Any] = {"scores": content}
                if law is not None and nfe:
                    files["laws_npz"] = {f"nfe_{n}": law(line, n).reshape(-1) for n in nfe}
                scores = self.product("scores", f"{line}-{name}", identity, inputs, **files)
                entries.append(Entry(name, "absorbing", method, family, line, role, seed, nfe, model, samples, scores))
        spec = {
            "name": name,
            "seeds": list(seeds),
            "data": {"kind": data},
            "baselines": {"tau_leaping": {"nfe": [1, 2], "final": "denoise"}},
            "evaluation": {"samples": 400, "metrics": list(metrics)},
            "report": report
            or {
                "tables": [{"rows": ["method", "family"], "columns": "nfe", "values": list(metrics)}],
                "figures": [
                    {"x": "nfe", "y": metrics[0], "hue": "name"},
                    {"x": "seconds_per_sample", "y": metrics[0], "hue": "method"},
                ],
                "samples_shown": 6,
            },
            **(settings or {}),
        }
        content = {"anchors": _anchors(metrics)}
        anchors = self.product("anchors", name, "55555555", {"data": data_key}, anchors=content)
        made = Experiment(name, title or name, description, Path(f"specs/{name}.yaml"), spec, tuple(entries), anchors)
        self.experiments.append(made)
        return made


def _data(kind: str, table: np.ndarray | None = None) -> Dataset:
    """A data set as the fetch stage leaves it, so that the report is tested on files of the real shape."""
    rng = np.random.default_rng(7)
    alphabet, image_shape, vocabulary, length = None, None, 27, 64
    test = np.empty((0, length), dtype=np.uint8)
    if kind == "text":
        alphabet = ALPHABET
        words = ("and", "the", "lord", "said", "unto", "moses", "in", "beginning", "was", "word")
        texts = [" ".join(rng.choice(words, 30))[:64] for _ in range(20)]
        test = np.array([[ALPHABET.index(char) for char in text] for text in texts], dtype=np.uint8)
    elif kind == "digits":
        image_shape, vocabulary, test = (8, 8), 17, _draw(rng, kind, 64)
    else:
        table = np.full((4, 4, 4, 4), 4.0**-4) if table is None else table
        vocabulary, length = table.shape[0], table.ndim
    splits = {} if table is not None else {"test": test}
    return Dataset(kind, vocabulary, length, splits, table, kind == "digits", alphabet, image_shape, "made up", "none")


def _draw(rng: np.random.Generator, kind: str, nfe: int) -> np.ndarray:
    if kind == "digits":
        y, x = np.mgrid[0:8, 0:8]
        ring = 15 * np.exp(-((np.hypot(x - 3.5, y - 3.5) - 2.5) ** 2))
        noise = rng.normal(0, 8 / nfe, (20, 64))
        return np.clip(ring.reshape(1, 64) + noise, 0, 16).astype(np.uint8)
    high = 27 if kind == "text" else 4
    return rng.integers(0, high, (20, 64 if kind == "text" else 4)).astype(np.uint8)


def _scores(
    line: str,
    role: str,
    nfe: tuple[int, ...],
    seed: int,
    metrics: tuple[str, ...],
    value: Callable[[str, str, int, int], float],
    estimates: dict[str, str],
) -> dict[str, Any]:
    units = {"nll_bound": "bits/token", "judge_nll": "bits/token", "entropy": "bits/token", "kl": "nats", "tv": ""}
    usual = dict.fromkeys(("tv", "kl", "js", "kl_reverse", "tv_marginal", "nll", "total_correlation"), "exact")
    usual |= {"nll_bound": "bound", "kl_bound": "bound", **estimates}
    heavy = {"cdm-ar": 2.5, "cdm-hmm": 1.4}.get(line, 1.0)
    counted = {n: float(n) for n in nfe} or {round(oracle_nfe(seed)): oracle_nfe(seed)}
    computed = [metric for metric in metrics if role != "oracle" or metric in ORACLE_METRICS]
    scores = [
        {
            "metric": metric,
            "nfe": n,
            "nfe_counted": calls,
            "value": value(metric, line, n, seed),
            "stderr": None if usual.get(metric) == "exact" or metric in ("kl_bound", "chi2_p") else 0.01,
            "unit": units.get(metric, ""),
            "estimate": usual.get(metric, "estimate"),
            "seconds_per_sample": round(0.0012 * n**0.95 * heavy * (1 + 0.02 * seed), 9),
        }
        for metric in computed
        for n, calls in counted.items()
    ]
    return {"scores": scores}


def _anchors(metrics: tuple[str, ...]) -> list[dict[str, Any]]:
    held_out = {"judge_nll": 2.05, "entropy": 3.95}
    reference: list[dict[str, Any]] = [
        {"metric": metric, "value": held_out[metric], "unit": "bits/token", "what": "held-out data"}
        for metric in metrics
        if metric in held_out
    ]
    if "nll_bound" in metrics:
        reference.append({"metric": "nll_bound", "value": 4.08, "unit": "bits/token", "what": "independent positions"})
    return reference
