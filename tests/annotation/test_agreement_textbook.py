"""The statistics give what the literature prints, and what the libraries give."""

import krippendorff
import numpy as np
import pytest
from statsmodels.stats.inter_rater import fleiss_kappa as statsmodels_fleiss

from annotation.agreement import (
    agreement_interval,
    alpha_interval,
    dawid_skene,
    fleiss_kappa,
    gwet_ac1,
    krippendorff_alpha,
    raw_agreement,
)

# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), example C: four observers,
# twelve units, 0 where an observer said nothing.
FOUR_OBSERVERS = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ]
)
COUNTS = np.stack([(value == FOUR_OBSERVERS).sum(0) for value in range(1, 6)], axis=1)

# Ten subjects, fourteen raters, five categories: the usual worked example of Fleiss' kappa.
FOURTEEN_RATERS = [
    [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
]  # fmt: skip

# Dawid and Skene, Applied Statistics 28 (1979), table 1: fitness for anaesthesia of 45 patients.
# Per patient: three readings of observer 1, then one each of observers 2 to 5.
ANAESTHETISTS = """
1111111 3334334 1122122 2223121 2223222 2223322 1222111 3333433 2222223 2322223 4444444 2223343
1111111 2223212 1211111 1112111 1111111 1111111 2222221 2221322 2222222 2222221 2223222 2212222
1111111 1111111 2322222 1111111 1111111 1121121 1111111 3333233 1111111 2222222 2223232 4334343
2212232 2323233 3333432 1111111 1111111 1212111 2322222 1211111 2222222
"""


def test_nominal_and_ordinal_alpha_are_those_of_krippendorff() -> None:
    assert krippendorff_alpha(COUNTS) == pytest.approx(0.743, abs=5e-4)
    assert krippendorff_alpha(COUNTS, "ordinal") == pytest.approx(0.815, abs=5e-4)


@pytest.mark.parametrize("level", ["nominal", "ordinal"])
@pytest.mark.parametrize("seed", range(3))
def test_alpha_equals_the_library_on_random_votes(level: str, seed: int) -> None:
    counts = np.random.default_rng(seed).multinomial(3, [0.5, 0.2, 0.3], size=40)
    wanted = krippendorff.alpha(value_counts=counts, level_of_measurement=level)
    assert krippendorff_alpha(counts, level) == pytest.approx(wanted, abs=1e-12)  # type: ignore[arg-type]


def test_fleiss_kappa_of_the_worked_example() -> None:
    assert fleiss_kappa(FOURTEEN_RATERS) == pytest.approx(0.210, abs=5e-4)
    assert fleiss_kappa(FOURTEEN_RATERS) == pytest.approx(
        statsmodels_fleiss(np.array(FOURTEEN_RATERS)), abs=1e-12
    )


def test_ac1_stays_high_where_kappa_collapses() -> None:
    # Two raters, 125 units: 118 times both say the first, 5 and 2 times they differ, never both
    # the second. Observed 118/125 = 0.944; prevalence 0.972, so chance 2 * 0.972 * 0.028 = 0.0544;
    # (0.944 - 0.0544) / (1 - 0.0544) = 0.9408. Alpha is about -0.02.
    counts = [[2, 0]] * 118 + [[1, 1]] * 7
    assert gwet_ac1(counts) == pytest.approx(0.9408, abs=5e-5)
    assert raw_agreement(counts) == pytest.approx(0.944)
    alpha = krippendorff_alpha(counts)
    assert alpha is not None
    assert alpha < 0


def test_dawid_skene_finds_the_published_shares_of_the_classes() -> None:
    unit, annotator, label = [], [], []
    for patient, readings in enumerate(ANAESTHETISTS.split()):
        for place, reading in enumerate(readings):
            unit.append(patient)
            annotator.append(max(0, place - 2))
            label.append(int(reading) - 1)
    found = dawid_skene(unit, annotator, label, 4, smoothing=1e-6)
    assert len(found.posterior) == 45
    assert found.prior == pytest.approx([0.40, 0.42, 0.11, 0.07], abs=0.005)
    # Table 2 of the paper: observer 1 says 1 for 89 % of the patients of class 1.
    assert found.confusion[0, 0, 0] == pytest.approx(0.89, abs=0.01)
    assert found.posterior.sum(1) == pytest.approx(np.ones(45))


def test_what_is_not_defined_is_none() -> None:
    everybody_agrees = [[3, 0, 0], [3, 0, 0]]
    nobody_shares = [[1, 0, 0], [0, 1, 0]]
    for statistic in (krippendorff_alpha, fleiss_kappa):
        assert statistic(everybody_agrees) is None
    for statistic in (krippendorff_alpha, fleiss_kappa, gwet_ac1, raw_agreement):
        assert statistic(nobody_shares) is None
        assert statistic(np.zeros((0, 3))) is None
    assert fleiss_kappa([[2, 1], [1, 1]]) is None  # unequal numbers of votes
    assert alpha_interval([[2, 1], [1, 2]], [4, 4]) is None  # one prompt


def test_counts_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="must be"):
        krippendorff_alpha([1, 2, 3])
    with pytest.raises(ValueError, match="negative"):
        gwet_ac1([[2, -1]])
    with pytest.raises(ValueError, match="nominal, ordinal or interval"):
        krippendorff_alpha([[2, 1]], "ratio")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="n_labels = 3"):
        dawid_skene([0], [0], [3], 3)
    with pytest.raises(ValueError, match="equally long"):
        dawid_skene([0, 1], [0], [1], 3)


def test_the_interval_draws_prompts_and_not_units() -> None:
    # Ten prompts, each with 20 copies of one unit: 200 units that hold ten opinions.
    rng = np.random.default_rng(0)
    ten = rng.multinomial(3, [0.6, 0.1, 0.3], size=10)
    counts, prompt = np.repeat(ten, 20, axis=0), np.repeat(np.arange(10), 20)
    by_prompt = alpha_interval(counts, prompt)
    by_unit = alpha_interval(counts, np.arange(200))
    assert by_prompt is not None
    assert by_unit is not None
    assert by_prompt.low <= by_prompt.value <= by_prompt.high
    assert by_prompt.high - by_prompt.low > 2 * (by_unit.high - by_unit.low)
    raw = agreement_interval(counts, prompt)
    assert raw is not None
    assert raw.low < raw.value < raw.high
