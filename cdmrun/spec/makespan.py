"""How long a plan takes: on one core, and on several that share its jobs as Snakemake would share them."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping

from cdmrun.spec.plan_types import Plan


def makespan(plan: Plan, todo: Collection[str], seconds: Mapping[str, float], cores: int) -> float:
    """Return seconds until the last of the runs ``todo`` is done, if each takes one of ``cores``.

    A run starts as soon as its inputs are there and a core is free, the longest first. Runs without an estimate count
    as taking no time, so the result is a lower bound where there are any.

    Examples
    --------
    >>> from cdmrun.spec.plan_types import Run
    >>> runs = {key: Run(key, "x", "0", {}, inputs) for key, inputs in (("a", {}), ("b", {}), ("c", {"data": "a/x-0"}))}
    >>> plan = Plan({run.key: run for run in runs.values()}, ())
    >>> makespan(plan, list(plan.runs), {"a/x-0": 2.0, "b/x-0": 3.0, "c/x-0": 4.0}, cores=2)
    6.0
    """
    waiting = {key: sum(name in todo for name in set(plan.runs[key].inputs.values())) for key in todo}
    consumers: dict[str, list[str]] = {}
    for key in todo:
        for name in set(plan.runs[key].inputs.values()):
            consumers.setdefault(name, []).append(key)
    ready = [(-seconds.get(key, 0.0), key) for key, count in waiting.items() if not count]
    heapq.heapify(ready)
    running: list[tuple[float, str]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < cores:
            cost, key = heapq.heappop(ready)
            heapq.heappush(running, (now - cost, key))
        now, done = heapq.heappop(running)
        for key in consumers.get(done, ()):
            waiting[key] -= 1
            if not waiting[key]:
                heapq.heappush(ready, (-seconds.get(key, 0.0), key))
    return now
