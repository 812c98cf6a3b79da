from __future__ import annotations

import numpy as np
import pytest

from cdmrun.data import cleaning
from cdmrun.errors import UserError


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("In the Beginning, GOD created.", "in the beginning god created"),
        ("  many \n\n spaces\tand tabs ", "many spaces and tabs"),
        ("the ark’s door", "the ark s door"),
        ("that [it was] good", "that it was good"),
        ("Æneas at the café, naïve", "aeneas at the cafe naive"),
        ("in 1611 A.D.", "in one six one one a d"),
        ("Straße 漢字 λόγος", "strasse"),
        ("…—!", ""),
    ],
)
def test_text8_cleaning(raw: str, cleaned: str) -> None:
    assert cleaning.text8_clean(raw) == cleaned
    assert cleaning.text8_clean(cleaned) == cleaned


def test_other_alphabets_keep_their_characters_and_drop_the_rest() -> None:
    assert cleaning.clean("C1=CC=CN=C1 (pyridine)", "C1=N") == "C1=CC=CN=C1"
    assert cleaning.clean("Ab\nab  b", "abA ") == "Ab ab b"
    assert cleaning.clean("Ab\nab", "abA\n") == "Ab\nab"


def test_encode_gives_places_in_the_alphabet_in_any_order() -> None:
    tokens = cleaning.encode("xyzzy ", "zyx ")
    assert tokens.dtype == np.uint8
    assert tokens.tolist() == [2, 1, 0, 0, 1, 3]
    with pytest.raises(ValueError, match="outside the alphabet"):
        cleaning.encode("q", "abc")


def test_large_alphabets_take_two_bytes() -> None:
    alphabet = "".join(chr(0x4E00 + i) for i in range(300))
    tokens = cleaning.encode(alphabet[::-1], alphabet)
    assert tokens.dtype == np.uint16
    assert tokens[0] == 299


def test_windows_do_not_cross_documents_and_drop_what_is_left() -> None:
    rows = cleaning.windows(["abcab", "", "cccab"], "abc", 2)
    assert rows.tolist() == [[0, 1], [2, 0], [2, 2], [2, 0]]


@pytest.mark.parametrize("length", [0, -1, 2.5, True, "64"])
def test_length_must_be_a_positive_whole_number(length: object) -> None:
    with pytest.raises(UserError, match=r"data\.length"):
        cleaning.check_length(length)


@pytest.mark.parametrize("alphabet", ["", "a", "aba"])
def test_senseless_alphabets_are_refused(alphabet: str) -> None:
    with pytest.raises(UserError, match=r"data\.alphabet"):
        cleaning.check_alphabet(alphabet)
