"""Judges of samples: models of other documents of the same data, that say how probable a sequence is."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from cdmrun.data.dataset import Tokens
from cdmrun.files import read_map
from cdmrun.metrics.network_judge import NetworkJudge
from cdmrun.metrics.ngram import NgramJudge

#: What a judge is and how well it does itself.
CARD = "judge.json"
NGRAM = "judge.npz"


class Judge(Protocol):
    """A model of sequences."""

    def bits_per_token(self, samples: Tokens) -> npt.NDArray[np.float64]:
        """Mean over the positions of −log₂ P, one number a sequence: [n, L] → [n]; lower is more probable."""


def load_judge(folder: Path, device: str = "cpu") -> Judge:
    """Read a judge's product.

    Raises
    ------
    UserError
        If a file is missing or damaged.
    """
    if read_map(folder / CARD, "kind")["kind"] == "network":
        return NetworkJudge.load(folder, device)
    return NgramJudge.load(folder / NGRAM)
