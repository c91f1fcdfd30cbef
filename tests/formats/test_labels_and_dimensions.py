"""The shared words."""

import pytest

from formats.dimensions import ANIME, BUILT_IN, VIDEOALIGN, Dimension, DimensionSet
from formats.errors import FormatError
from formats.labels import CLASSES, SIGN, Label, from_videoalign, mirrored, to_videoalign


@pytest.mark.parametrize("word", ["A", "B", "same", "invalid"])
def test_videoalign_words_go_both_ways(word: str) -> None:
    assert to_videoalign(from_videoalign(word)) == word


@pytest.mark.parametrize("word", ["a", "tie", "Same", "", "22"])
def test_an_unknown_word_is_never_a_missing_label(word: str) -> None:
    with pytest.raises(FormatError, match="expected one of A, B, same, invalid"):
        from_videoalign(word)


def test_mirroring_twice_changes_nothing() -> None:
    assert [mirrored(mirrored(label)) for label in Label] == list(Label)
    assert mirrored(Label.A) is Label.B
    assert mirrored(Label.TIE) is Label.TIE


def test_invalid_has_no_number() -> None:
    assert Label.INVALID not in SIGN
    assert [SIGN[label] for label in CLASSES] == [1, 0, -1]


def test_every_built_in_set_comes_back_from_json() -> None:
    for each in BUILT_IN.values():
        assert DimensionSet.from_json(each.to_json()) == each


def test_only_text_alignment_sees_the_prompt_in_videoalign() -> None:
    assert [d.key for d in VIDEOALIGN.dimensions if d.sees_prompt] == ["TA"]
    assert len(ANIME.keys) == 6


def test_a_set_that_names_a_dimension_twice_is_refused() -> None:
    one = Dimension("VQ", "Visual", "Which?", sees_prompt=False)
    with pytest.raises(FormatError, match="twice"):
        DimensionSet("x", "X", (one, one))


@pytest.mark.parametrize("key", ["", "1Q", "V Q", "V,Q", "x" * 40])
def test_a_key_that_cannot_be_a_column_is_refused(key: str) -> None:
    with pytest.raises(FormatError, match="dimension key"):
        Dimension(key, "T", "Q?", sees_prompt=False)
