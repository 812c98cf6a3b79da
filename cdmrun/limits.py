"""Limits that more than one floor must agree on; imports nothing, so that looking into a spec stays quick."""

#: How far from one the sum of given probabilities may be.
SUM_TOLERANCE = 1e-6

#: Most joint states, the absorbing mask included, that are written out: kernels over more no longer fit in memory.
MAX_STATES = 20_000

#: Most joint states on which two-stage kernels (θ solvers) are written out: their cost is the cube of this.
MAX_TWO_STAGE_STATES = 2_048

#: Most transition probabilities of a Markov chain, V^(order + 1): 160 MB of float64.
MAX_TRANSITIONS = 20_000_000

#: Widest window of tokens whose V^window contexts a scan goes through.
MAX_SCAN_WINDOW = 2

#: Rounding that grows by more than this factor leaves no digit of float64 worth having.
AMPLIFICATION = 1e12

#: Most steps of an optimised time grid: candidates are some hundred times then, and pairs of them ten thousand.
MAX_OPTIMISED_STEPS = 64
