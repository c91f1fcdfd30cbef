"""Intervals over prompts hold what they promise, and the pairwise and side statistics the books."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binomtest
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from annotation.agreement import agreement, dawid_skene, krippendorff_alpha
from annotation.dashboards.people import consensus_tables, side_row, with_adjusted_p
from annotation.ranking import elo, fit_btt, side_test
from annotation.statistics import clustered
from annotation.statistics.clustered import Figure, grouped, resamples, share_interval
from annotation.statistics.pairwise import cohen_kappa, pairwise_kappas

# Krippendorff 2011, four observers, as in test_agreement_textbook; level interval is .849 there.
FOUR_OBSERVERS = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ]
)


def test_interval_alpha_is_that_of_krippendorff() -> None:
    counts = np.stack([(value == FOUR_OBSERVERS).sum(0) for value in range(1, 6)], axis=1)
    assert krippendorff_alpha(counts, "interval") == pytest.approx(0.849, abs=5e-4)


def test_each_resample_draws_as_many_groups_as_there_are() -> None:
    drawn = resamples(30, rounds=500, seed=3)
    assert drawn.shape == (500, 30)
    assert (drawn.sum(1) == 30).all()
    assert drawn.mean() == pytest.approx(1)
    assert drawn.var(0).mean() == pytest.approx(29 / 30, abs=0.1)  # of a multinomial
    with pytest.raises(ValueError, match="read-only"):
        drawn[0, 0] = 7


def test_many_prompts_are_put_into_few_groups_of_equal_size() -> None:
    group = grouped(np.arange(50_000) * 7, most=100)
    sizes = np.bincount(group)
    assert len(sizes) == 100
    assert sizes.min() == sizes.max() == 500
    assert (grouped([5, 5, 9, 5]) == [0, 0, 1, 0]).all()


def test_groups_of_prompts_give_the_interval_of_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    counts = rng.multinomial(3, [0.5, 0.2, 0.3], size=6000)
    prompt = np.arange(6000) // 3  # 2,000 prompts: none is put together with another
    alone = agreement(counts, prompt).alpha_nominal
    together = agreement(counts, grouped(prompt, most=200)).alpha_nominal
    assert together.value == alone.value
    assert _width(together) == pytest.approx(_width(alone), rel=0.15)


def _width(figure: Figure) -> float:
    assert figure.high is not None
    assert figure.low is not None
    return figure.high - figure.low


def votes_on_prompts(rng: np.random.Generator, prompts: int) -> tuple[np.ndarray, np.ndarray]:
    """Four pairs a prompt, three votes a pair; what a prompt is like weighs on all of its votes."""
    lean = rng.normal(0, 1.2, prompts).repeat(4)[:, None] + rng.normal(0, 0.6, (prompts * 4, 1))
    chance = expit(lean - 0.5), expit(-lean - 0.5)
    drawn = rng.random((prompts * 4, 3))
    value = np.where(drawn < chance[0], 2, np.where(drawn < chance[0] + chance[1], 0, 1))
    counts = np.stack([(value == each).sum(1) for each in range(3)], axis=1)
    return counts, np.arange(prompts).repeat(4)


def test_intervals_of_alpha_and_raw_agreement_cover_the_truth() -> None:
    rng = np.random.default_rng(1)
    truth = agreement(*votes_on_prompts(rng, 60_000), rounds=2)
    inside = {"raw": 0, "alpha_nominal": 0, "alpha_ordinal": 0, "ac1": 0}
    campaigns = 200
    for _ in range(campaigns):
        found = agreement(*votes_on_prompts(rng, 80), rounds=200)
        for name in inside:
            figure, true = getattr(found, name), getattr(truth, name).value
            inside[name] += figure.low <= true <= figure.high
    # 95 % wanted; by chance at most four in a hundred less, and a bootstrap is a little narrow.
    assert min(inside.values()) / campaigns > 0.90, inside
    assert max(inside.values()) / campaigns < 0.99, inside


def test_intervals_of_strengths_cover_the_truth_where_those_of_votes_do_not() -> None:
    rng = np.random.default_rng(2)
    strength = np.array([0.8, 0.2, -0.3, -0.7])
    by_prompt = by_vote = 0
    campaigns, prompts = 60, 120
    for _ in range(campaigns):
        luck = rng.normal(0, 0.8, (prompts, 4))
        luck -= luck.mean(0)  # the truth of these prompts is the truth
        a, b = np.array([(i, j) for i in range(4) for j in range(i)]).T
        prompt = np.arange(prompts).repeat(len(a) * 3)
        model_a, model_b = (np.tile(each.repeat(3), prompts) for each in (a, b))
        gap = 0.35 * (strength[model_a] - strength[model_b]) + (
            luck[prompt, model_a] - luck[prompt, model_b]
        )
        label = np.where(rng.random(len(gap)) < expit(gap), 1, -1)
        truth = _pooled(strength, luck)
        for clusters in (prompt, np.arange(len(prompt))):
            found = fit_btt(model_a, model_b, label, clusters, 4, rounds=120)
            hits = ((found.low <= truth) & (truth <= found.high)).mean()
            if clusters is prompt:
                by_prompt += hits
            else:
                by_vote += hits
    assert by_prompt / campaigns > 0.90
    assert by_vote / campaigns < by_prompt / campaigns


_POOLED: dict[str, np.ndarray] = {}


def _pooled(strength: np.ndarray, luck: np.ndarray) -> np.ndarray:
    """Strengths that the model would find with endless prompts of this kind."""
    if "found" not in _POOLED:
        rng = np.random.default_rng(9)
        many = rng.normal(0, luck.std(), (40_000, 4))
        a, b = np.array([(i, j) for i in range(4) for j in range(i)]).T
        gap = 0.35 * (strength[a] - strength[b]) + many[:, a] - many[:, b]
        label = np.where(rng.random(gap.shape) < expit(gap), 1, -1)
        models = [np.tile(each, len(many)) for each in (a, b)]
        fit = fit_btt(*models, label.ravel(), np.arange(label.size), 4, rounds=0)
        _POOLED["found"] = fit.strength
    return _POOLED["found"]


def test_a_share_has_an_interval_over_groups() -> None:
    group = np.arange(50).repeat(4)
    hit = (np.arange(200) % 4 == 0).astype(int)
    same = share_interval(hit, np.ones(200), group)
    assert same is not None
    assert (same.value, same.low, same.high) == (0.25, 0.25, 0.25)  # each group has the same share
    assert share_interval([0, 0], [0, 0], np.array([0, 1])) is None
    assert share_interval([1, 0], [1, 1], np.array([0, 0])) is None


# Cohen's kappa.


def test_kappa_is_that_of_the_books_with_its_error() -> None:
    # p_o = 0.7; p_e = 0.5 * 0.6 + 0.5 * 0.4 = 0.5; kappa = 0.2 / 0.5 = 0.4.
    kappa, error = cohen_kappa([[20, 5], [10, 15]])
    assert kappa == pytest.approx(0.40)
    assert error == pytest.approx(0.127, abs=5e-4)
    # 118 of 125 agree on one value, the others split: people agree, and kappa collapses.
    kappa, _ = cohen_kappa([[118, 5], [2, 0]])
    assert kappa == pytest.approx(-0.0234, abs=5e-5)
    assert cohen_kappa([[40, 5], [5, 50]])[0] == pytest.approx(0.798, abs=5e-4)
    assert cohen_kappa([[90, 5], [5, 0]])[0] == pytest.approx(-0.053, abs=5e-4)
    assert cohen_kappa([[7, 0], [0, 0]])[0] is None  # nobody varies


@pytest.mark.parametrize("weights", ["none", "quadratic"])
def test_kappa_and_its_error_equal_the_library(weights: str) -> None:
    table = np.random.default_rng(4).integers(1, 30, (5, 5)) + 20 * np.eye(5, dtype=int)
    kappa, error = cohen_kappa(table, weights=weights)  # type: ignore[arg-type]
    wanted = cohens_kappa(table, wt=None if weights == "none" else "quadratic")
    assert kappa == pytest.approx(wanted.kappa, abs=1e-12)
    assert error == pytest.approx(np.sqrt(wanted.var_kappa), abs=1e-12)


def test_all_pairs_at_once_are_what_each_pair_is_alone() -> None:
    rng = np.random.default_rng(5)
    unit, annotator = np.repeat(np.arange(200), 4), np.tile(np.arange(4), 200)
    label = rng.integers(0, 3, 800)
    kept = rng.random(800) < 0.7
    found = pairwise_kappas(unit[kept], annotator[kept], label[kept], 4, 3)
    said = np.full((200, 4), -1)
    said[unit[kept], annotator[kept]] = label[kept]
    for i, j in ((0, 1), (1, 3), (3, 0)):
        both = said[(said[:, i] >= 0) & (said[:, j] >= 0)]
        table = np.zeros((3, 3))
        np.add.at(table, (both[:, i], both[:, j]), 1)
        assert found.shared[i, j] == len(both)
        assert found.kappa[i, j] == pytest.approx(cohen_kappa(table)[0], abs=1e-12)
    assert found.kappa == pytest.approx(found.kappa.T, nan_ok=True)
    assert np.isnan(pairwise_kappas([0, 0], [0, 1], [1, 1], 2, 3).kappa).all()  # one unit shared


# Sides.


def test_nine_of_ten_is_a_p_of_two_percent() -> None:
    row = side_row("x", 9, 10)
    assert row.p == pytest.approx(0.0215, abs=5e-5)
    assert row.p == binomtest(9, 10).pvalue
    assert (row.low, row.high) == pytest.approx(proportion_confint(9, 10, method="wilson"))


def test_false_discoveries_are_those_of_the_library() -> None:
    rows = with_adjusted_p([side_row(str(n), 30 + 2 * n, 80) for n in range(12)])
    wanted = multipletests([row.p for row in rows], method="fdr_bh")[1]
    assert [row.adjusted_p for row in rows] == pytest.approx(wanted.tolist())


def test_a_lean_to_the_left_is_found_beside_the_strengths() -> None:
    rng = np.random.default_rng(6)
    strength = np.array([0.7, 0.0, -0.7])
    a, b = rng.integers(0, 3, 6000), rng.integers(1, 3, 6000)
    b = (a + b) % 3
    swap = rng.integers(0, 2, 6000)
    for lean, found_it in ((0.0, False), (0.3, True)):
        gap = strength[a] - strength[b] + np.where(swap, -lean, lean)
        drawn = rng.random(6000)
        label = np.where(
            drawn < expit(gap - 0.5), 1, np.where(drawn > 1 - expit(-gap - 0.5), -1, 0)
        )
        test = side_test(a, b, label, swap, 3)
        assert test is not None
        assert (test.p < 0.001) == found_it
        assert test.lean == pytest.approx(lean, abs=0.07)
    assert side_test([], [], [], [], 3) is None


def test_on_the_elo_scale_400_points_are_odds_of_ten_to_one() -> None:
    assert elo(np.log(10)) - elo(0) == pytest.approx(400)
    assert elo(0) == 1000


# Dawid and Skene.


def _crowd(units: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    truth = rng.integers(0, 3, units)
    unit, annotator = np.repeat(np.arange(units), 5), np.tile(np.arange(5), units)
    right = rng.random(units * 5) < np.array([0.9, 0.85, 0.8, 0.7, 0.4])[annotator]
    wrong = (truth[unit] + rng.integers(1, 3, units * 5)) % 3
    return unit, annotator, np.where(right, truth[unit], wrong), truth


def test_a_start_from_an_earlier_fit_leads_to_the_same_model() -> None:
    unit, annotator, label, _ = _crowd(3000)
    few = unit < 300
    cold = dawid_skene(unit, annotator, label, 3, tolerance=1e-9)
    earlier = dawid_skene(unit[few], annotator[few], label[few], 3)
    warm = dawid_skene(unit, annotator, label, 3, start=earlier, tolerance=1e-9)
    assert warm.confusion == pytest.approx(cold.confusion, abs=1e-3)
    assert warm.log_likelihood == pytest.approx(cold.log_likelihood, rel=1e-7)


def test_the_confusion_of_many_is_that_of_the_model_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    unit, annotator, label, _ = _crowd(3000)
    whole = consensus_tables(unit, annotator, label, 5, 3)
    monkeypatch.setattr("annotation.dashboards.people._MOST_FITTED", 1000)
    fitted_on_some = consensus_tables(unit, annotator, label, 5, 3)
    assert fitted_on_some.sum() == pytest.approx(15_000)
    share = whole / whole.sum(2, keepdims=True)
    assert fitted_on_some / fitted_on_some.sum(2, keepdims=True) == pytest.approx(share, abs=0.02)
    assert share[0].diagonal().mean() == pytest.approx(0.9, abs=0.03)
    assert clustered.MAX_GROUPS == 2000
