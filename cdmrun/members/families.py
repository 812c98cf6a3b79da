"""Student families: the heads that turn the features of one network call into a joint law."""

from __future__ import annotations

from cdmrun.registry import FamilyMember

MEMBERS = (
    FamilyMember(name="factorized", implementation="cdmrun.models.families.factorized:FactorizedHead"),
    FamilyMember(name="mixture", implementation="cdmrun.models.families.mixture:MixtureHead"),
    FamilyMember(
        name="hmm",
        implementation="cdmrun.models.families.hmm:HiddenMarkovHead",
        decodings=("sequential", "scan"),
    ),
    FamilyMember(
        name="autoregressive",
        implementation="cdmrun.models.families.autoregressive:AutoregressiveHead",
        decodings=("sequential", "scan", "fixed_point"),
    ),
    FamilyMember(
        name="markov",
        implementation="cdmrun.models.families.markov:MarkovHead",
        decodings=("sequential", "scan", "fixed_point"),
    ),
    FamilyMember(name="joint", implementation="cdmrun.models.families.joint:JointHead", enumerable=True),
)
