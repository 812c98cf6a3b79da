"""Metrics: what each is called, in which unit, which way is better, what it reads, and what it means in a sentence.

Their order is that of configs, so that listing them differently in a spec scores nothing anew; a metric that moves
past another changes the ids of scores.
"""

from __future__ import annotations

from cdmrun.members.metrics import domains, infills, laws, samples

MEMBERS = (*domains.MEMBERS, *samples.MEMBERS, *infills.MEMBERS, *laws.MEMBERS)
