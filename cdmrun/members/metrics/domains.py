"""Metrics of molecules, images and chorales."""

from __future__ import annotations

from cdmrun.registry import MetricMember

_CODE = "cdmrun.metrics.domain_scores"

MEMBERS = (
    MetricMember(
        name="validity",
        implementation=f"{_CODE}:validity",
        label="Valid molecules",
        unit="share",
        bare=True,
        direction="higher",
        exactness="estimate",
        reads="samples",
        needs="molecules",
        package="rdkit",
        description=(
            "The share of the samples that are molecules: RDKit parses and sanitises them. One wrong token mostly "
            "suffices to make a string none, so this is what positions must agree on."
        ),
    ),
    MetricMember(
        name="uniqueness",
        implementation=f"{_CODE}:uniqueness",
        label="Unique molecules",
        unit="share",
        bare=True,
        direction="higher",
        exactness="estimate",
        reads="samples",
        needs="molecules",
        package="rdkit",
        description=(
            "Different molecules over all molecules among the samples, compared by canonical SMILES; 0 where there is "
            "none. It falls as samples get more: compare equal numbers only."
        ),
    ),
    MetricMember(
        name="novelty_molecules",
        implementation=f"{_CODE}:novelty_molecules",
        label="Novel molecules",
        unit="share",
        bare=True,
        direction="reference",
        exactness="estimate",
        reads="samples",
        needs="molecules",
        package="rdkit",
        description=(
            "The share of the different molecules among the samples that are not in the training data, compared by "
            "canonical SMILES. Low is memory, and high alone no merit: close to held-out data is good."
        ),
    ),
    MetricMember(
        name="fcd",
        implementation=f"{_CODE}:fcd",
        label="Fréchet ChemNet distance",
        unit="squared activation",
        bare=True,
        direction="lower",
        exactness="estimate",
        reads="samples",
        needs="molecules",
        floor="training data",
        package="fcd_torch",
        featured=True,
        log_scale=True,
        unbounded=True,
        description=(
            "Fréchet distance of the valid samples to held-out molecules in the activations of ChemNet. It falls as "
            "samples get more and is never 0: read it against the same number of training molecules. Samples that are "
            "no molecules are left out, so read it together with validity; ∞ where fewer than two are."
        ),
    ),
    MetricMember(
        name="frechet",
        implementation=f"{_CODE}:frechet",
        label="Fréchet distance of images",
        unit="squared activation",
        bare=True,
        direction="lower",
        exactness="estimate",
        reads="samples",
        needs="images",
        floor="training data",
        featured=True,
        log_scale=True,
        description=(
            "Fréchet distance of the samples to held-out images in the activations of a small network that the "
            "workflow trains and freezes. Its scale is that of this network, and it falls as samples get more: read "
            "it against the same number of training images, and compare it with nothing from elsewhere."
        ),
    ),
    MetricMember(
        name="class_entropy",
        implementation=f"{_CODE}:class_entropy",
        label="Entropy of classes",
        unit="bits",
        direction="reference",
        exactness="estimate",
        reads="samples",
        needs="classes",
        ceiling="",
        featured=True,
        description=(
            "Entropy of the classes that the feature network gives the samples: low where a sampler leaves classes "
            "out. It says nothing of how well they are drawn: close to held-out data is good."
        ),
    ),
    MetricMember(
        name="class_information",
        implementation=f"{_CODE}:class_information",
        label="Class information",
        unit="bits",
        direction="reference",
        exactness="estimate",
        reads="samples",
        needs="classes",
        featured=True,
        description=(
            "Bits that a sample tells the feature network of its class (the logarithm of an inception score): low "
            "where classes are left out, and where the network cannot tell what a sample is."
        ),
    ),
    MetricMember(
        name="voice_range",
        implementation=f"{_CODE}:voice_range",
        label="Distance of voice ranges",
        unit="semitones",
        direction="lower",
        exactness="estimate",
        reads="samples",
        needs="chorales",
        floor="training data",
        unbounded=True,
        description=(
            "How far each voice ranges within a sample, lowest to highest note: Wasserstein distance of its law to "
            "that of held-out pieces, mean over voices; ∞ where a voice is never heard."
        ),
    ),
    MetricMember(
        name="dissonance",
        implementation=f"{_CODE}:dissonance",
        label="Dissonant intervals",
        unit="share",
        bare=True,
        direction="reference",
        exactness="estimate",
        reads="samples",
        needs="chorales",
        description=(
            "The share of the intervals between voices that sing at the same time that are seconds, sevenths or "
            "tritones. Voices that know nothing of one another clash: close to held-out pieces is good."
        ),
    ),
    MetricMember(
        name="note_lengths",
        implementation=f"{_CODE}:note_lengths",
        label="TV of note lengths",
        unit="probability",
        bare=True,
        direction="lower",
        exactness="estimate",
        reads="samples",
        needs="chorales",
        floor="training data",
        description=(
            "How long two successive notes of a voice are held: total variation distance of its law to that of "
            "held-out pieces. Single steps know where in a bar notes begin, so independent positions are not far off."
        ),
    ),
)
