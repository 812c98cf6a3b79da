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
        description="A Markov chain over the spoken positions: each token given the last few of them, by tables.",
        options={
            "order": {
                "type": "integer",
                "minimum": 1,
                "maximum": 3,
                "default": 2,
                "description": "How many earlier spoken tokens a token depends on. Tables have (V + 1)^order rows.",
            },
            "hidden": {
                "type": "integer",
                "minimum": 1,
                "maximum": 65536,
                "default": 128,
                "description": "Width of the layer that weighs the token before against the trunk's features.",
            },
        },
        decodings=("sequential", "scan", "fixed_point"),
    ),
    FamilyMember(name="joint", implementation="cdmrun.models.families.joint:JointHead", enumerable=True),
)
