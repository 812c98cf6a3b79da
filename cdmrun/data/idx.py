"""Images as ordinal tokens: idx files, quantised to a few grey levels and scaled down by whole factors."""

from __future__ import annotations

import gzip
import hashlib
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cdmrun.data.blocks import split_blockwise
from cdmrun.data.dataset import Dataset, Tokens
from cdmrun.data.options import whole
from cdmrun.errors import UserError

Images = npt.NDArray[np.uint8]

LEVELS = (2, 16)
#: Of images that come in a training and a test file, every so many of the training file are the judge's.
JUDGE_EVERY = 6
_MAGIC = {1: 0x0801, 3: 0x0803}  # unsigned bytes in one axis (labels) or three (images)
_GZIP = b"\x1f\x8b"


def load_idx(file: str, levels: int = 8, size: int | None = None, test: float = 0.1, judge: float = 0.15) -> Dataset:
    """Images of an idx file of the user's, raw or gzipped, as ordinal tokens, row by row.

    Parameters
    ----------
    file
        Unsigned bytes in three axes [n, H, W].
    levels
        V, 2 to 16.
    size
        Height that images are scaled down to, by a whole factor; None: as they are.
    test, judge
        Shares of these splits: consecutive images, in blocks spread over the file (`split_blockwise`).

    Raises
    ------
    UserError
        If the file is missing or no such file, or an option makes no sense.
    """
    path = Path(file)
    content = _read(path)
    images = parse_idx(content, 3, f"data.file: {path}")
    tokens = quantise(images, levels, size)
    return image_dataset(
        "idx",
        levels,
        images=split_blockwise(tokens, test, judge),
        labels=None,
        source=f"file {path.name} (sha256 {hashlib.sha256(content).hexdigest()})",
        licence="the user's own file",
    )


def standard_splits(
    contents: list[bytes], levels: int, size: int | None, limit: int | None
) -> tuple[dict[str, Tokens], dict[str, Tokens]]:
    """Tokens [n, H, W] and labels [n] of the splits of a data set that comes as a training and a test file.

    Parameters
    ----------
    contents
        idx files: training images, training labels, test images, test labels.
    levels, size
        As in `quantise`.
    limit
        At most so many images of each file, its first ones; None: all.
    """
    limit = None if limit is None else whole("limit", limit, JUDGE_EVERY)
    images = [quantise(parse_idx(content, 3)[:limit], levels, size) for content in contents[::2]]
    labels = [parse_idx(content, 1)[:limit] for content in contents[1::2]]
    return _every_sixth(*images), _every_sixth(*labels)


def _every_sixth(training: Tokens, test: Tokens) -> dict[str, Tokens]:
    is_judge = np.arange(len(training)) % JUDGE_EVERY == JUDGE_EVERY - 1
    return {"train": training[~is_judge], "judge": training[is_judge], "test": test}


def image_dataset(
    name: str, levels: int, images: dict[str, Tokens], labels: dict[str, Tokens] | None, source: str, licence: str
) -> Dataset:
    """A data set of tokens [n, H, W] in splits."""
    height, width = images["train"].shape[1:]
    return Dataset(
        name=name,
        vocabulary=levels,
        length=height * width,
        splits={split: tokens.reshape(len(tokens), height * width) for split, tokens in images.items()},
        table=None,
        ordinal=True,
        alphabet=None,
        image_shape=(height, width),
        source=source,
        licence=licence,
        labels=labels,
    )


def parse_idx(content: bytes, axes: int, place: str = "idx file") -> Images:
    """The array of unsigned bytes in an idx file, raw or gzipped.

    Raises
    ------
    UserError
        If the content is something else; it starts with ``place``.
    """
    if content.startswith(_GZIP):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(f"{place}: damaged gzip: {error}", "get the file again") from error
    header = 4 + 4 * axes
    if len(content) < header or struct.unpack(">I", content[:4])[0] != _MAGIC[axes]:
        raise UserError(
            f"{place}: no idx file of unsigned bytes in {axes} axes",
            "idx3-ubyte files hold images; save other arrays with numpy.save and use `kind: array`",
        )
    shape = struct.unpack(f">{axes}I", content[4:header])
    if len(content) != header + int(np.prod(shape, dtype=np.int64)):
        there_are = f"{len(content) - header} bytes for {' × '.join(map(str, shape))}"
        raise UserError(f"{place}: {there_are}: the file is cut short or is another", "get the file again")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def quantise(images: Images, levels: int, size: int | None = None) -> Tokens:
    """Grey levels 0 … levels - 1 of images [n, H, W]: means over squares, cut into bins of equal width.

    Parameters
    ----------
    images
        0 … 255.
    levels
        2 to 16.
    size
        New height, which divides the old one by a factor that divides the width too; None: as they are.
    """
    levels = whole("levels", levels, *LEVELS)
    height, width = images.shape[1:]
    size = height if size is None else whole("size", size, 1, height)
    factor = height // size
    if size * factor != height or width % factor:
        fitting = [height // f for f in range(1, height + 1) if height % f == 0 and width % f == 0]
        raise UserError(
            f"data.size: {size} does not divide images of {height} × {width}", f"choose from {fitting}: whole factors"
        )
    squares = images.reshape(len(images), size, factor, width // factor, factor)
    sums = squares.sum(axis=(2, 4), dtype=np.uint32)
    return (sums * np.uint32(levels) // np.uint32(256 * factor * factor)).astype(np.uint8)


def read_shape(path: Path) -> tuple[int, ...]:
    """(n, H, W) of an idx file of images from its header; nothing else is read.

    Raises
    ------
    UserError
        If it is no such file.
    """
    with open(path, "rb") as stream:
        header = stream.read(4096)
    try:
        header = zlib.decompressobj(31).decompress(header, 16) if header.startswith(_GZIP) else header[:16]
    except zlib.error as error:
        raise UserError(f"{path}: damaged gzip: {error}", "get the file again") from error
    if len(header) < 16 or struct.unpack(">I", header[:4])[0] != _MAGIC[3]:
        raise UserError(f"{path}: no idx file of images (idx3-ubyte)", "use `kind: array` for a .npy array")
    return struct.unpack(">3I", header[4:])


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"data.file: {path}: {error.strerror}", "give the path of a readable idx file") from error
