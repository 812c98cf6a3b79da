"""Fashion-MNIST: clothes as small grey images, 28×28, in ten classes."""

from __future__ import annotations

from cdmrun.data.dataset import Dataset
from cdmrun.data.fetch import Asset, fetch_all
from cdmrun.data.idx import image_dataset, standard_splits

_INSTEAD = "bring the four files' images of your own: `data: {kind: idx, file: PATH}`"
ASSETS = tuple(
    Asset(
        "dataset-fashion-mnist",
        "0.0~git20200523.55506a9-1",
        f"usr/share/datasets/fashion-mnist/{name}-ubyte.gz",
        sha256,
        _INSTEAD,
        "apt",
    )
    for name, sha256 in (
        ("train-images-idx3", "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7"),
        ("train-labels-idx1", "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056"),
        ("t10k-images-idx3", "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa"),
        ("t10k-labels-idx1", "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05"),
    )
)


def load_fashion_mnist(levels: int = 8, size: int = 28, limit: int | None = None) -> Dataset:
    """60,000 images, every sixth of them the judge's, and 10,000 test images.

    Parameters
    ----------
    levels
        V, 2 to 16 grey levels.
    size
        Height and width: 28, 14 or 7.
    limit
        At most so many images of each file, its first ones; None: all.

    Raises
    ------
    UserError
        If the files can neither be found in the cache nor fetched.
    """
    images, labels = standard_splits(fetch_all(ASSETS), levels, size, limit)
    source = f"Fashion-MNIST (Xiao, Rasul and Vollgraf 2017), from Debian package {ASSETS[0].package}"
    return image_dataset("fashion_mnist", levels, images, labels, source, "MIT")
