"""Pictures of samples as files: held-out data and a few NFE side by side, one file a method; MIDI files beside them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from cdmrun.report.molecule_pictures import font
from cdmrun.report.pictures import Picture, png
from cdmrun.report.samples import SampleGrid, SampleRow, Shown

#: The step counts that a picture shows, where they were sampled.
NFE = (1, 2, 4, 8, 64)
_HEADING = 26
_GAP = 14
_NARROWEST = 110


@dataclass(frozen=True)
class SampleFile:
    """A file of the folder ``figures``.

    ``of`` is the label of the row whose samples it has, ``alt`` says what it shows, ``label`` is what links say.
    """

    name: str
    content: bytes
    of: str
    alt: str
    label: str


def sample_files(grid: SampleGrid, name: str) -> list[SampleFile]:
    """The pictures of experiment ``name``, one a method, and MIDI files of music; none for text."""
    found = [file for row in grid.rows for file in _of_row(grid, row)]
    if grid.held_out.midi:
        midi = grid.held_out.midi
        found.append(SampleFile(f"{name}-samples-held-out.mid", midi, "held-out data", "Held-out data as MIDI", "MIDI"))
    return found


def _of_row(grid: SampleGrid, row: SampleRow) -> list[SampleFile]:
    cells = {nfe: cell for nfe, cell in zip(grid.columns, row.cells, strict=True) if cell is not None}
    chosen = [nfe for nfe in NFE if nfe in cells] or list(cells)
    panels = [("held-out data", grid.held_out), *((f"NFE {nfe}", cells[nfe]) for nfe in chosen)]
    found = []
    if cells and all(cell.picture is not None for _, cell in panels):
        alt = f"Samples of {row.label} at NFE {', '.join(map(str, chosen))}, beside held-out data"
        found.append(SampleFile(f"{row.stem}.png", png(side_by_side(panels)), row.label, alt, "picture"))
    for nfe, cell in cells.items():
        if cell.midi:
            alt, label = f"Samples of {row.label} at NFE {nfe} as MIDI", f"MIDI, NFE {nfe}"
            found.append(SampleFile(f"{row.stem}-nfe{nfe}.mid", cell.midi, row.label, alt, label))
    return found


def side_by_side(panels: list[tuple[str, Shown]]) -> Picture:
    """Pictures from left to right on white, each with its heading."""
    pictures = [(heading, cell.picture, cell.density) for heading, cell in panels if cell.picture is not None]
    scale = max(density for _, _, density in pictures)
    widths = [max(picture.shape[1], _NARROWEST * scale) for _, picture, _ in pictures]
    gap, top = _GAP * scale, _HEADING * scale
    height = top + max(picture.shape[0] for _, picture, _ in pictures) + gap
    canvas = Image.new("RGBA", (sum(widths) + gap * (len(pictures) + 1), height), (255, 255, 255, 255))
    pen, left = ImageDraw.Draw(canvas), gap
    for (heading, picture, _), width in zip(pictures, widths, strict=True):
        pen.text((left, 5 * scale), heading, fill=(40, 40, 40), font=font(13 * scale))
        canvas.alpha_composite(Image.fromarray(picture), (left, top))
        left += width + gap
    return np.asarray(canvas)
