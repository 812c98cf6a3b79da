"""Finished parts of a job, kept in ``work/``: a job that was stopped, at any moment, goes on after the last of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np

from cdmrun.data.dataset import read_arrays
from cdmrun.errors import UserError
from cdmrun.files import write_with
from cdmrun.stages.job import Job
from cdmrun.training import Interrupted, Progress, stop_requested

#: What a part is: something that JSON can hold, and arrays by name.
Part = tuple[Any, dict[str, np.ndarray]]

#: Least seconds between two lines of progress.
_REPORT_EVERY = 1.0
_RECORD = "record.json"


class Parts:
    """The parts of one job; a context in which SIGTERM and SIGUSR1 end the job cleanly between two of them.

    Parameters
    ----------
    job
        Whose parts; each becomes ``work/NAME.npz``, written atomically.
    costs
        The names of all parts, and how long each takes relative to the others: what the time left is told from.
    """

    def __init__(self, job: Job, costs: Mapping[str, float]) -> None:
        self._job = job
        self._costs = dict(costs)
        self._identity = job.identity()
        self._waiting = sum(self._costs.values())
        self._done = 0
        self._made, self._made_cost, self._made_seconds = 0, 0.0, 0.0
        self._reported = -_REPORT_EVERY
        self._stack = ExitStack()

    def __enter__(self) -> Parts:
        self._stopping = self._stack.enter_context(stop_requested())
        self._job.progress(Progress(0, len(self._costs)))
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def has(self, name: str) -> bool:
        """Whether a part is kept already.

        Raises
        ------
        UserError
            If it is, and was made by other code, for another config or of other inputs.
        """
        return self._read(name) is not None

    def made(self, name: str, make: Callable[[], Part]) -> Part:
        """Return a part, by ``make`` only if it is not kept; made or kept, it is the same to the last bit.

        Raises
        ------
        UserError
            As `has`.
        Interrupted
            If the process was asked to stop; what is finished is kept.
        """
        kept = self._read(name)
        if kept is None:
            if self._stopping():
                raise Interrupted(f"stopped at step {self._done} of {len(self._costs)}")
            began = time.monotonic()
            self._write(name, make())
            self._made += 1
            self._made_cost += self._costs[name]
            self._made_seconds += time.monotonic() - began
            kept = self._read(name)
            assert kept is not None, "it was just written"
        self._done += 1
        self._waiting -= self._costs[name]
        self._report()
        return kept

    def _read(self, name: str) -> Part | None:
        path = self._job.work / f"{name}.npz"
        if not path.exists():
            return None
        arrays = read_arrays(path)
        kept = json.loads(arrays.pop(_RECORD).tobytes()) if _RECORD in arrays else {}
        if kept.get("identity") != self._identity:
            raise UserError(
                f"{path}: this part is of other inputs, another config or another version of the code",
                f"delete {self._job.work}; the job then starts again from its first part",
            )
        return kept["record"], arrays

    def _write(self, name: str, part: Part) -> None:
        record, arrays = part
        text = json.dumps({"identity": self._identity, "record": record}).encode()
        held = {**arrays, _RECORD: np.frombuffer(text, dtype=np.uint8)}
        write_with(self._job.work / f"{name}.npz", lambda stream: np.savez(stream, **held))  # type: ignore[arg-type]

    def _report(self) -> None:
        now, last = time.monotonic(), self._done == len(self._costs)
        if now - self._reported < _REPORT_EVERY and not last:
            return
        self._reported = now
        rate = left = None
        if self._made_seconds > 0:
            rate = self._made / self._made_seconds
            left = self._waiting * self._made_seconds / self._made_cost
        self._job.progress(Progress(self._done, len(self._costs), None, rate, max(left, 0.0) if left else left))
