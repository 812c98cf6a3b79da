"""An autoregressive network as judge: a small causal transformer that is trained on documents of its own.

It is the trunk of the teachers made causal, and sees further than an n-gram; what it is worth stands in its own score
of held-out data. Training is the loop of teachers and students, and resumes as theirs does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from cdmrun.data.dataset import Tokens
from cdmrun.errors import UserError
from cdmrun.files import read_map, write_atomic, write_json
from cdmrun.models.trunk import Trunk
from cdmrun.training.sources import Source

#: Sequences scored at once.
BATCH = 256

WEIGHTS, SHAPE = "judge.safetensors", "judge-shape.json"


class NetworkJudge(nn.Module):
    """P(x) = Π_i P(x^i | x^1 … x^{i−1}) of sequences of L tokens below V.

    Parameters
    ----------
    vocabulary, length
        V and L.
    model
        layers, width, heads, conv and mlp of the trunk.
    """

    def __init__(self, vocabulary: int, length: int, model: Mapping[str, Any]) -> None:
        super().__init__()
        self.shape = {"vocabulary": vocabulary, "length": length, "model": dict(model)}
        self.vocabulary = vocabulary
        # token V stands before the beginning
        self.trunk = Trunk(vocabulary + 1, length, timed=False, causal=True, **model)
        self.output = nn.Linear(self.trunk.width, vocabulary)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Log-probability of each token given those before it, int64 [B, L] → float32 [B, L], nats."""
        seen = nn.functional.pad(x[:, :-1], (1, 0), value=self.vocabulary)
        nothing = torch.zeros(len(x), device=x.device)
        features = self.trunk(seen, nothing, nothing, torch.zeros_like(x, dtype=torch.bool))
        log_laws = self.output(features.float()).log_softmax(-1)
        return log_laws.gather(-1, x.unsqueeze(-1)).squeeze(-1)

    @torch.inference_mode()
    def bits_per_token(self, samples: Tokens) -> npt.NDArray[np.float64]:
        """Mean over the positions of −log₂ P, one number a sequence: [n, L] → [n]; lower is more probable."""
        device = next(self.parameters()).device
        rows = torch.from_numpy(np.ascontiguousarray(samples).astype(np.int64))
        parts = [self(block.to(device)).double().mean(1).cpu() for block in rows.split(BATCH)]
        nats: npt.NDArray[np.float64] = -torch.cat(parts).numpy()
        return nats / math.log(2.0)

    def save(self, folder: Path) -> None:
        """Write weights and shape into ``folder``, each atomically."""
        weights = {key: value.detach().cpu().contiguous() for key, value in self.state_dict().items()}
        write_atomic(folder / WEIGHTS, save(weights))
        write_json(folder / SHAPE, self.shape)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> NetworkJudge:
        """Read what `save` wrote; a missing or damaged file is a `UserError`."""
        shape = read_map(folder / SHAPE, "vocabulary", "length", "model")
        try:
            judge = cls(shape["vocabulary"], shape["length"], shape["model"])
            judge.load_state_dict(load((folder / WEIGHTS).read_bytes()))
        except (OSError, SafetensorError, RuntimeError, TypeError, ValueError) as error:
            raise UserError(
                f"{folder / WEIGHTS}: not the weights that {SHAPE} beside it describes: {error}",
                f"delete {folder} and run the workflow again",
            ) from error
        return judge.to(device).eval()


class NextToken:
    """What the judge is trained by, the chain rule; call with a generator for a loss in nats a token."""

    def __init__(self, judge: NetworkJudge, source: Source, batch: int) -> None:
        self.judge = judge
        self.source = source
        self.batch = batch

    def __call__(self, generator: torch.Generator) -> Tensor:
        loss: Tensor = -self.judge(self.source(self.batch, generator)).mean()
        return loss
