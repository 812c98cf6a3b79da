"""What every loader returns: token windows in named splits, or a law: an enumerated one, or a Markov chain's.

Imports numpy and the file helpers only.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from cdmrun.data.chain import MarkovChain
from cdmrun.data.leakage import RUN, leakage
from cdmrun.errors import UserError
from cdmrun.files import read_json, write_json, write_with

Tokens = npt.NDArray[np.integer[Any]]

SPLITS = ("train", "judge", "test")
ARRAYS_FILE = "dataset.npz"
META_FILE = "meta.json"
_META_FIELDS = ("name", "vocabulary", "length", "ordinal", "alphabet", "image_shape", "source", "licence", "dropped")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Sequences of ``length`` tokens out of ``vocabulary``.

    Attributes
    ----------
    name
        The data set's kind; names products.
    vocabulary, length
        V and L.
    splits
        ``train`` (teacher and students), ``judge`` (documents of its own, for metrics that are fitted) and
        ``test`` (held out), each [n, L] unsigned integers; empty when the law is enumerated.
    table
        p_0 of shape (V, …, V) with L axes, float64, summing to one; None when only samples are known.
    ordinal
        Whether neighbouring tokens are similar (grey levels).
    alphabet
        What each token is spelled as, for data that are strings: a text's characters as one string, otherwise a tuple
        of strings, among which the empty one is padding.
    image_shape
        (height, width) of images, row-major, height · width = L.
    source, licence
        Where the data come from and on what terms.
    chain
        p_0 as a Markov chain, of which the splits are draws; None for all other data.
    labels
        The class of each sequence, counted from 0, [n] for every split; None where there are no classes.
    dropped
        How many sequences of the source are in no split, since they do not fit.
    """

    name: str
    vocabulary: int
    length: int
    splits: dict[str, Tokens]
    table: npt.NDArray[np.float64] | None
    ordinal: bool
    alphabet: Sequence[str] | None
    image_shape: tuple[int, int] | None
    source: str
    licence: str
    chain: MarkovChain | None = None
    labels: dict[str, Tokens] | None = None
    dropped: int = 0

    def __post_init__(self) -> None:
        for name, tokens in self.splits.items():
            if tokens.ndim != 2 or tokens.shape[1] != self.length:
                raise ValueError(f"split {name}: shape {tokens.shape}, expected [n, {self.length}]")
            if tokens.size and int(tokens.max()) >= self.vocabulary:
                raise ValueError(f"split {name}: token {tokens.max()} outside a vocabulary of {self.vocabulary}")
        if self.table is not None and self.table.shape != (self.vocabulary,) * self.length:
            raise ValueError(f"table: shape {self.table.shape}, expected {self.length} axes of {self.vocabulary}")
        if self.chain is not None and self.chain.vocabulary != self.vocabulary:
            raise ValueError(f"chain over {self.chain.vocabulary} tokens for a vocabulary of {self.vocabulary}")
        if self.alphabet is not None and len(self.alphabet) != self.vocabulary:
            raise ValueError(f"alphabet of {len(self.alphabet)} for a vocabulary of {self.vocabulary}")
        if self.labels is not None:
            shapes = {name: classes.shape for name, classes in self.labels.items()}
            if shapes != {name: (len(tokens),) for name, tokens in self.splits.items()}:
                raise ValueError(f"labels of shape {shapes} are not one for each sequence of each split")

    @property
    def enumerable(self) -> bool:
        """Whether p_0 is a table."""
        return self.table is not None

    @property
    def padding(self) -> int | None:
        """The token that stands for nothing, for sequences shorter than L; None where there is none."""
        if self.alphabet is None or isinstance(self.alphabet, str) or "" not in self.alphabet:
            return None
        return self.alphabet.index("")

    def decode(self, tokens: npt.ArrayLike) -> str:
        """One sequence [L] as a string: spelled by the alphabet, or numbers separated by spaces."""
        values = np.asarray(tokens).reshape(-1)
        if self.alphabet is None:
            return " ".join(str(int(v)) for v in values)
        return "".join(self.alphabet[int(v)] for v in values)

    def save(self, folder: Path) -> None:
        """Write ``dataset.npz`` and ``meta.json`` (which is written last) into ``folder``."""
        folder = Path(folder)
        arrays: dict[str, npt.NDArray[Any]] = {f"split_{name}": tokens for name, tokens in self.splits.items()}
        if self.table is not None:
            arrays["table"] = self.table
        arrays |= {f"labels_{name}": classes for name, classes in (self.labels or {}).items()}
        if self.chain is not None:
            arrays |= {"chain_initial": self.chain.initial, "chain_transition": self.chain.transition}

        def write(stream: BinaryIO) -> None:
            np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]

        write_with(folder / ARRAYS_FILE, write)
        write_json(folder / META_FILE, self.describe())

    def describe(self) -> dict[str, Any]:
        """Everything but the arrays, with split sizes and `leakage`: the content of ``meta.json``."""
        meta: dict[str, Any] = {field: getattr(self, field) for field in _META_FIELDS}
        meta["enumerable"] = self.enumerable
        meta["splits"] = {
            name: {"sequences": len(tokens), "tokens": int(tokens.size)} for name, tokens in self.splits.items()
        }
        meta["leakage"] = leakage(self.splits, RUN if isinstance(self.alphabet, str) else None)
        if self.labels is not None:
            meta["classes"] = 1 + max(int(classes.max(initial=0)) for classes in self.labels.values())
        if self.chain is not None:
            bits = self.chain.entropy(self.length) / (self.length * np.log(2.0))
            meta["chain"] = {"order": self.chain.order, "entropy_bits_per_token": float(bits)}
        return meta

    @classmethod
    def read(cls, folder: Path) -> Dataset:
        """Read what `save` wrote.

        Raises
        ------
        UserError
            Naming the file, when it is missing, damaged or does not belong to the other one.
        """
        folder = Path(folder)
        meta = read_json(folder / META_FILE)
        arrays = read_arrays(folder / ARRAYS_FILE)
        try:
            fields = {field: meta[field] for field in _META_FIELDS if field in meta or field != "dropped"}
            if isinstance(fields["alphabet"], list):
                fields["alphabet"] = tuple(fields["alphabet"])
            fields["image_shape"] = tuple(fields["image_shape"]) if fields["image_shape"] else None
            splits = {name: arrays[f"split_{name}"] for name in meta["splits"]}
            if meta["enumerable"] and "table" not in arrays:
                raise KeyError("table")
            chain = None
            if "chain_transition" in arrays:
                chain = MarkovChain(arrays["chain_initial"], arrays["chain_transition"])
            labels = {name: arrays[f"labels_{name}"] for name in splits} if "classes" in meta else None
            return cls(**fields, splits=splits, table=arrays.get("table"), chain=chain, labels=labels)
        except (KeyError, TypeError, ValueError, UserError) as error:
            raise UserError(
                f"{folder}: {META_FILE} and {ARRAYS_FILE} do not fit together: {error}",
                f"delete {folder} and run the workflow again",
            ) from error


def read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """All arrays of an ``.npz`` file, never unpickled; a missing or damaged file is a `UserError`."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file", "run the workflow that makes it: snakemake --cores all") from error
    except (OSError, ValueError, EOFError, KeyError, AttributeError, TypeError) as error:
        raise _damaged(path, error) from error
    except (zipfile.BadZipFile, zlib.error, SyntaxError, NotImplementedError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(f"{path}: damaged or not an array file: {error}", "delete its folder and run the workflow again")


def token_dtype(vocabulary: int) -> type[np.uint8] | type[np.uint16]:
    """The smallest unsigned type that holds a vocabulary (at most 65,536 tokens)."""
    if vocabulary > 1 << 16:
        raise UserError(f"a vocabulary of {vocabulary} tokens is too large", "use at most 65536 tokens")
    return np.uint8 if vocabulary <= 1 << 8 else np.uint16
