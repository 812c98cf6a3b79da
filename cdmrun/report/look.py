"""How a line looks in every figure: the same colour, marker and name for the same method and family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.colors import to_hex, to_rgb

from cdmrun.report.lines import Line

#: Okabe–Ito, told apart with every common colour blindness; its yellow is darkened to be seen on white.
_COLOURS = {
    ("tau_leaping", ""): "#b9b9b9",
    ("analytic", ""): "#555555",
    ("theta_trapezoidal", ""): "#882255",
    ("theta_rk2", ""): "#332288",
    ("first_hitting", ""): "#000000",
    ("uniformization", ""): "#000000",
    ("progressive", ""): "#CC79A7",
    ("cdm", "factorized"): "#56B4E9",
    ("cdm", "mixture"): "#E69F00",
    ("cdm", "hmm"): "#009E73",
    ("cdm", "autoregressive"): "#D55E00",
    ("cdm", "markov"): "#117733",
    ("cdm", "joint"): "#0072B2",
}
_SPARE = ("#B8A000", "#999933", "#44AA99", "#AA4499")
_MARKERS = {
    ("tau_leaping", ""): "v",
    ("analytic", ""): "^",
    ("theta_trapezoidal", ""): "<",
    ("theta_rk2", ""): ">",
    ("first_hitting", ""): "d",
    ("uniformization", ""): "p",
    ("progressive", ""): "X",
    ("cdm", "factorized"): "P",
    ("cdm", "mixture"): "D",
    ("cdm", "hmm"): "s",
    ("cdm", "autoregressive"): "o",
    ("cdm", "joint"): "*",
}
#: (line width, marker size): what is drawn earlier is wider, so that coinciding lines stay visible underneath.
_WEIGHTS = {
    ("tau_leaping", ""): (3.2, 8.5),
    ("analytic", ""): (2.4, 7.0),
    ("progressive", ""): (1.8, 6.5),
    ("cdm", "factorized"): (1.0, 5.0),
    ("cdm", "joint"): (1.7, 9.0),
}
_WORDS = {
    "tau_leaping": "τ-leaping",
    "theta_trapezoidal": "θ-trapezoidal",
    "theta_rk2": "θ-RK-2",
    "first_hitting": "first-hitting",
    "uniformization": "uniformisation",
    "cdm": "CDM",
    "hmm": "HMM",
}
#: Dashes of the second, third, … line with the same method and family.
_DASHES: tuple[tuple[float, ...] | str, ...] = ("", (4, 1.5), (1.5, 1.5), (5, 1.5, 1.5, 1.5))


@dataclass(frozen=True)
class Look:
    """Colour, marker, dashes and legend label of one line."""

    label: str
    colour: str
    marker: str
    dashes: tuple[float, ...] | str
    width: float
    size: float


def looks(lines: Sequence[Line], hue: str) -> dict[Line, Look]:
    """The looks of the lines of one experiment.

    ``hue`` says what the legend names (method, family or name); where that alone would give two lines one label,
    family and name are added.
    """
    labels = _labels(lines, hue)
    seen: dict[tuple[str, str], int] = {}
    spare: dict[tuple[str, str], str] = {}
    result = {}
    for line in lines:
        key = (line.method, line.family) if (line.method, line.family) in _COLOURS else (line.method, "")
        if key not in _COLOURS:
            key = (line.method, line.family)
            spare.setdefault(key, _SPARE[len(spare) % len(_SPARE)])
        shade, dash = divmod(seen.get(key, 0), len(_DASHES))
        dashes = _DASHES[dash]
        seen[key] = seen.get(key, 0) + 1
        colour = _lighter(_COLOURS.get(key) or spare[key], shade)
        width, size = _WEIGHTS.get(key, (1.7, 6.0))
        result[line] = Look(labels[line], colour, _MARKERS.get(key, "h"), dashes, width, size)
    return result


def _lighter(colour: str, shade: int) -> str:
    """A colour drawn towards white, further for each shade: lines of one family whose dashes are used up."""
    if not shade:
        return colour
    white = 1.0 - 0.68**shade
    red, green, blue = (channel + white * (1.0 - channel) for channel in to_rgb(colour))
    return to_hex((red, green, blue))


def pretty(word: str) -> str:
    """A method or family as it is written in prose."""
    return _WORDS.get(word, word)


def _labels(lines: Sequence[Line], hue: str) -> dict[Line, str]:
    """The shortest of (hue), (method, family), (method, family, name) that tells all lines apart."""

    def full(line: Line) -> str:
        joint = line.method == "cdm" or (line.family and line.family != "factorized")
        return f"{pretty(line.method)}, {pretty(line.family)}" if joint else pretty(line.method)

    def named(line: Line) -> str:
        return pretty(line.name)

    def by_hue(line: Line) -> str:
        return pretty(str(getattr(line, hue, line.name)))

    for label in (by_hue, full, named):
        texts = {line: label(line) for line in lines}
        if len(set(texts.values())) == len(lines):
            return texts
    return {line: f"{full(line)} ({line.name})" for line in lines}
