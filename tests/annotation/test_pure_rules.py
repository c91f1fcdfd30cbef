"""Consensus, soft labels and repaired text: functions without a database."""

import pytest

from annotation.consensus import consensus_of, mean_score, vote_shares
from annotation.imports.mojibake import repaired
from formats.labels import Label

A, B, TIE, INVALID = Label.A, Label.B, Label.TIE, Label.INVALID


@pytest.mark.parametrize(
    ("labels", "settled"),
    [
        ([A, A, B], A),
        ([A, B, TIE], None),
        ([A, B], None),  # a split is not a tie
        ([TIE, TIE, A], TIE),
        ([INVALID, A], INVALID),  # at least half
        ([INVALID, A, A], A),
        ([INVALID, A, B], None),  # 1 of 3 is less than half; the others split
        ([INVALID, INVALID, A, A], INVALID),
        ([A, A, B, B, TIE], None),  # 2 of 5 is no strict majority
        ([A, A, INVALID, B, A], A),
        ([A], A),
        ([], None),
    ],
)
def test_consensus_is_a_strict_majority_of_valid_judgements(labels, settled):
    assert consensus_of(labels) is settled
    swapped = {A: B, B: A}
    mirrored = [swapped.get(each, each) for each in labels]
    expected = swapped.get(settled, settled) if settled else None
    assert consensus_of(mirrored) is expected


def test_vote_shares_leave_invalid_out():
    assert vote_shares([A, A, TIE, INVALID]) == pytest.approx([2 / 3, 1 / 3, 0])
    assert vote_shares([INVALID]) is None


def test_scores_are_averaged_over_those_who_gave_one():
    assert mean_score([5, None, 2]) == 3.5
    assert mean_score([None]) is None


@pytest.mark.parametrize(
    "text", ["a café", "“night” — day", "naïve Ærøskøbing", "雨の中の猫", "Привет", "50 °C, 3 µm"]
)
@pytest.mark.parametrize("wrongly_read_as", ["cp1252", "latin-1"])
def test_text_that_was_encoded_twice_is_repaired(text, wrongly_read_as):
    try:
        broken = text.encode().decode(wrongly_read_as)
    except UnicodeDecodeError:  # cp1252 has no letter for five bytes; such text is read as latin-1
        broken = text.encode().decode("latin-1")
    assert broken != text
    assert repaired(broken) == text
    assert repaired(f"SÃO PAULO {broken}") == f"SÃO PAULO {text}"


@pytest.mark.parametrize(
    "text",
    [
        "a café",
        "“night” — day",
        "SÃO",
        "ÀÉ",
        "naïve",
        "雨の中の猫",
        "Привет",
        "«Ça va?»",
        "£5 ½",
        "",
    ],
)
def test_right_text_is_left_alone(text):
    assert repaired(text) == text
