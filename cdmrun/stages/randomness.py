"""The random numbers of jobs: seeds of independent streams, named by what they are for."""

from __future__ import annotations

import hashlib


def stream(seed: int, *names: str | int) -> int:
    """Seed of a stream of random numbers, in [0, 2^62): a pure function of the spec's ``seed`` and of names.

    Stages, parts of a job and blocks have streams of their own, so that they can be made in any order, and a teacher
    and the student after it do not see the same noise. What differs in nothing but its method has the same stream:
    differences between methods then vary less than either.
    """
    text = "/".join(map(str, (*names, seed)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 2
