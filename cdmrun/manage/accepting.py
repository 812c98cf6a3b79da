"""``cdmrun accept``: say that the present code would make a product as it is, so that it is not stale."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cdmrun.errors import UserError
from cdmrun.manage.records import manifest_of
from cdmrun.spec.accepted import accept, is_stale
from cdmrun.spec.plan_types import Run


def accept_product(run: Run, out: Path, reason: str, fingerprint: Callable[..., str | None]) -> Path:
    """Record why a product that other code made counts as made by the present code.

    Parameters
    ----------
    run, out
        The run, and the results folder.
    reason
        For whoever asks later; `cdmrun status` shows it.
    fingerprint
        Of a stage's code as it is now, given the stage and the source files of plugins.

    Returns
    -------
    The product's folder.

    Raises
    ------
    UserError
        If the product is not there, is not stale by its own code, or no reason is given.
    """
    folder = out / run.key
    words = " ".join(reason.split())
    if not words:
        raise UserError("--reason is empty", "say why the change of the code changes nothing in this product")
    manifest = manifest_of(out, run.key)
    if manifest is None:
        raise UserError(f"{folder}: there is no complete product to accept", "let snakemake make it")
    code = manifest.get("code")
    made_by, now = (code.get("fingerprint") if isinstance(code, dict) else None), fingerprint(run.stage, *run.sources)
    if not made_by or not now:
        raise UserError(f"{folder / 'manifest.json'}: does not say which code made it", "delete it and run again")
    if not is_stale(folder, made_by, now):
        raise UserError(
            f"{run.key}: its own code is not stale, there is nothing to accept",
            "if it is stale-upstream, accept what it was made from; `cdmrun status` names it",
        )
    accept(folder, made_by, now, words)
    return folder
