"""``cdmrun accept``: say that the present code would make a product as it is, so that it is not stale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from cdmrun.errors import UserError
from cdmrun.manage.asking import ask, planned_runs
from cdmrun.manage.records import manifest_of
from cdmrun.spec.accepted import accept, is_stale
from cdmrun.spec.plan_types import Run

#: Of a stage's code as it is now, given the stage and the source files of plugins.
Fingerprint = Callable[..., str | None]


def accept_products(
    words: Sequence[str],
    specs: list[Path] | None,
    out: Path,
    reason: str,
    fingerprint: Fingerprint,
    stale: bool = False,
) -> list[Path]:
    """Record why products that other code made count as made by the present code.

    Parameters
    ----------
    words
        Keys of runs, the start of them, or their ids.
    specs
        Where runs are looked up; those of ``specs/*.yaml`` if none is given.
    reason
        For whoever asks later; `cdmrun status` shows it.
    stale
        Besides, every product of the specs that other code made, be what it was made from stale or not.

    Returns
    -------
    The products' folders.

    Raises
    ------
    SpecErrors, UserError
        If a spec is wrong, no run is called that, a product is not there or not stale by its own code, or no reason is
        given; then nothing is accepted.
    """
    if not words and not stale:
        raise UserError("no run is named", "name runs as `cdmrun status` shows them, or say --stale")
    chosen = {run.key: run for run in (ask(word, specs, out).run for word in words)}
    planned = planned_runs(specs) if stale else {}
    chosen |= {key: run for key, run in planned.items() if is_stale(out / key, *_codes(run, out, fingerprint))}
    checked = {key: _check(run, out, reason, fingerprint) for key, run in chosen.items()}
    for key, codes in checked.items():
        accept(out / key, *codes, " ".join(reason.split()))
    return [out / key for key in checked]


def _check(run: Run, out: Path, reason: str, fingerprint: Fingerprint) -> tuple[str, str]:
    """The code that made a product and the code that would now, or a `UserError` if that cannot be accepted."""
    folder = out / run.key
    if not reason.split():
        raise UserError("--reason is empty", "say why the change of the code changes nothing in this product")
    if manifest_of(out, run.key) is None:
        raise UserError(f"{folder}: there is no complete product to accept", "let snakemake make it")
    made_by, now = _codes(run, out, fingerprint)
    if not made_by or not now:
        raise UserError(f"{folder / 'manifest.json'}: does not say which code made it", "delete it and run again")
    if not is_stale(folder, made_by, now):
        raise UserError(
            f"{run.key}: its own code is not stale, there is nothing to accept",
            "if it is stale-upstream, accept what it was made from; `cdmrun status` names it",
        )
    return made_by, now


def _codes(run: Run, out: Path, fingerprint: Fingerprint) -> tuple[str | None, str | None]:
    """Of the code that made a product, and of the code that would now."""
    code = (manifest_of(out, run.key) or {}).get("code")
    return code.get("fingerprint") if isinstance(code, dict) else None, fingerprint(run.stage, *run.sources)
