"""Limits that more than one floor must agree on; imports nothing, so that looking into a spec stays quick."""

#: Most joint states, the absorbing mask included, that are written out: kernels over more no longer fit in memory.
MAX_STATES = 20_000
