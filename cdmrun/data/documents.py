"""Data sets of documents that belong together: which split one is in, and texts in splits as windows of characters."""

from __future__ import annotations

from collections.abc import Iterable

from cdmrun.data.cleaning import TEXT8_ALPHABET, split_windows
from cdmrun.data.dataset import SPLITS, Dataset

# Places within every twenty: spread evenly, so that each split sees all of what drifts from the first to the last.
_PERIOD = 20
_TEST = frozenset({4, 14})
_JUDGE = frozenset({1, 8, 17})


def split_of(place: int) -> str:
    """The split of a document by its place among all, from 0: 75 % train, 15 % judge, 10 % test."""
    place %= _PERIOD
    return "test" if place in _TEST else "judge" if place in _JUDGE else "train"


def text_dataset(
    name: str,
    documents: Iterable[tuple[str, str]],
    length: int,
    source: str,
    licence: str,
    alphabet: str = TEXT8_ALPHABET,
) -> Dataset:
    """Windows of cleaned texts.

    Parameters
    ----------
    name, source, licence
        As in `Dataset`.
    documents
        The split and the text of each, in order; its characters are all in ``alphabet``. No window spans two.
    length
        Characters in a window.

    Raises
    ------
    UserError
        If no document of a split is as long as a window.
    """
    texts: dict[str, list[str]] = {split: [] for split in SPLITS}
    for split, text in documents:
        texts[split].append(text)
    return Dataset(
        name=name,
        vocabulary=len(alphabet),
        length=length,
        splits=split_windows(texts, alphabet, length),
        table=None,
        ordinal=False,
        alphabet=alphabet,
        image_shape=None,
        source=source,
        licence=licence,
    )
