"""Words as they are folded, the same for both databases."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.messages.index import MOST_WORDS, entry, fold


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Brown BIN, missed!", ["brown", "bin", "missed"]),
        ("Mae'r tŷ yn llaith", ["mae", "r", "ty", "yn", "llaith"]),
        ("naïve café Straße", ["naive", "cafe", "strasse"]),
        ("26/00417/FUL FM3 2QA", ["26", "00417", "ful", "fm3", "2qa"]),
        ("@rollo_t #bins", ["rollo", "t", "bins"]),
        ("路灯坏了 x", ["路", "灯", "坏", "了", "x"]),
        ("Żółć ŁÓDŹ", ["zołc", "łodz"]),
        ("допоможіть", ["допоможіть"]),
        ("x" * 90, ["x" * 40, "x" * 40, "x" * 10]),
        ("", []),
    ],
)
def test_words_are_folded_without_case_accents_and_punctuation(text: str, words: list[str]) -> None:
    assert fold(text) == words


@given(st.text())
def test_folding_again_changes_nothing(text: str) -> None:
    words = fold(text)
    assert fold(" ".join(words)) == words


@given(st.text())
def test_a_folded_word_has_nothing_that_a_database_would_read_as_its_own(text: str) -> None:
    for word in fold(text):
        assert not set(word) & set("'\"\\:&|!()<>*^_")
        assert not any(letter.isspace() for letter in word)
        assert len(word) <= 40


def test_every_word_carries_its_office_and_fields_are_kept_apart() -> None:
    words = entry(12, 1, "sqlite", subject="Bins", author="Ann", channel="email", texts=("Brown bin", ""))
    assert words == "o12s_bins o12f_ann o12c_email o12_ o12_bins o12_ o12_ann o12_ o12_brown o12_bin o12_"


def test_postgresql_is_told_the_place_of_each_word() -> None:
    words = entry(1, 70_000, "postgresql", subject="a", author="", channel="email", texts=("b a",))
    assert words == "o1.2s_a:1 o1.2c_email:2 o1.2_:3 o1.2_a:4 o1.2_:5 o1.2_:6 o1.2_b:7 o1.2_a:8"


def test_no_more_words_are_kept_than_a_tsvector_counts() -> None:
    words = entry(1, 70_000, "postgresql", subject="", author="", channel="", texts=("word " * 40_000,))
    assert words.endswith(f"o1.2_word:{MOST_WORDS}")
