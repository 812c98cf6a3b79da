from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cdmrun.data import load
from cdmrun.data.text import split_blocks
from cdmrun.errors import UserError

WORDS = ["lorem", "ipsum", "dolor", "sit", "amet", "consetetur", "sadipscing", "elitr"]


def prose(paragraphs: int, glue: str = "\n\n") -> str:
    """Paragraphs that say their own number, so that it can be seen where each went."""
    rng = np.random.default_rng(7)
    return glue.join(f"No. {i}: " + " ".join(rng.choice(WORDS, 40)) + "." for i in range(paragraphs))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.txt"
    path.write_text(prose(600))
    return path


def test_shares_of_the_splits(corpus: Path) -> None:
    data = load({"kind": "text", "file": str(corpus), "length": 32})
    sizes = {name: tokens.size for name, tokens in data.splits.items()}
    total = sum(sizes.values())
    assert sizes["test"] / total == pytest.approx(0.10, abs=0.03)
    assert sizes["judge"] / total == pytest.approx(0.15, abs=0.03)
    assert data.vocabulary == 27
    assert data.alphabet == "abcdefghijklmnopqrstuvwxyz "
    assert "corpus.txt" in data.source
    assert str(corpus.parent) not in data.source


def test_loading_is_deterministic_and_windows_are_readable(corpus: Path) -> None:
    first, second = (load({"kind": "text", "file": str(corpus), "length": 32}) for _ in range(2))
    for name, tokens in first.splits.items():
        np.testing.assert_array_equal(tokens, second.splits[name])
    assert first.decode(first.splits["train"][0]).startswith("no zero ")


def test_paragraphs_stay_whole_and_blocks_keep_all_of_the_text() -> None:
    text = prose(600)
    blocks = split_blocks(text)
    assert len(blocks) == 50
    assert "\n\n".join(blocks) == text
    assert all(block.startswith("No. ") and block.endswith(".") for block in blocks)
    sizes = [len(block) for block in blocks]
    assert max(sizes) < 1.3 * min(sizes)


@pytest.mark.parametrize("glue", ["\n", " ", ""])
def test_texts_without_paragraphs_are_split_too(glue: str) -> None:
    text = prose(400, glue)
    blocks = split_blocks(text)
    assert 45 <= len(blocks) <= 50
    assert "".join("".join(blocks).split()) == "".join(text.split())


def test_own_alphabet(tmp_path: Path) -> None:
    path = tmp_path / "dna.txt"
    path.write_text("".join(np.random.default_rng(0).choice(list("ACGTN"), 20_000)))
    data = load({"kind": "text", "file": str(path), "length": 16, "alphabet": "ACGT"})
    assert data.vocabulary == 4
    assert set(data.decode(data.splits["test"][0])) <= set("ACGT")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.txt: No such file"):
        load({"kind": "text", "file": str(tmp_path / "nowhere.txt")})
    with pytest.raises(UserError, match="directory"):
        load({"kind": "text", "file": str(tmp_path)})


def test_not_utf8_says_where(tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes(b"caf\xe9 au lait")
    with pytest.raises(UserError, match="0xe9 at offset 3"):
        load({"kind": "text", "file": str(path)})


def test_too_short_says_how_much_is_needed(corpus: Path) -> None:
    with pytest.raises(UserError, match="at least 1000000"):
        load({"kind": "text", "file": str(corpus), "length": 10_000})
    with pytest.raises(UserError, match="0 characters after cleaning"):
        load({"kind": "text", "file": str(corpus), "alphabet": "XYZ"})
