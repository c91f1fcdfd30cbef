"""Who is called first, and which unit comes first, changes nothing."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from annotation.agreement import (
    dawid_skene,
    fleiss_kappa,
    gwet_ac1,
    krippendorff_alpha,
    raw_agreement,
)

NOMINAL = (krippendorff_alpha, gwet_ac1, raw_agreement, fleiss_kappa)

tables = st.lists(
    st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=12
).map(lambda rows: np.array(rows))  # fmt: skip


@given(tables, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_order_of_units_and_values_does_not_matter(
    counts: NDArray[np.int64], chance: "np.random.Generator"
) -> None:
    rows, columns = list(range(len(counts))), [0, 1, 2]
    chance.shuffle(rows)
    chance.shuffle(columns)
    for statistic in NOMINAL:
        assert _close(statistic(counts), statistic(counts[rows][:, columns]))
    assert _close(
        krippendorff_alpha(counts, "ordinal"), krippendorff_alpha(counts[rows, ::-1], "ordinal")
    )


@given(tables)
@settings(max_examples=60, deadline=None)
def test_no_statistic_exceeds_one(counts: NDArray[np.int64]) -> None:
    for statistic in NOMINAL:
        value = statistic(counts)
        assert value is None or (np.isfinite(value) and value <= 1 + 1e-12)


def _close(first: float | None, second: float | None) -> bool:
    if first is None or second is None:
        return first is second
    return abs(first - second) < 1e-9


def test_dawid_skene_follows_renamed_annotators_and_units() -> None:
    rng = np.random.default_rng(3)
    unit, annotator, label, _ = crowd(rng)
    units, people = rng.permutation(60), rng.permutation(5)
    before = dawid_skene(unit, annotator, label, 3)
    after = dawid_skene(units[unit], people[annotator], label, 3)
    assert after.posterior[units] == pytest.approx(before.posterior, abs=1e-9)
    assert after.confusion[people] == pytest.approx(before.confusion, abs=1e-9)


def test_dawid_skene_weighs_a_good_eye_above_two_bad_ones() -> None:
    unit, annotator, label, truth = crowd(np.random.default_rng(4))
    found = dawid_skene(unit, annotator, label, 3)
    majority = np.array([np.bincount(label[unit == u], minlength=3).argmax() for u in range(60)])
    right = (found.posterior.argmax(1) == truth).mean()
    assert right > (majority == truth).mean()
    diagonal = np.array([np.trace(each) / 3 for each in found.confusion])
    assert diagonal[:2].min() > diagonal[2:].max()


def crowd(
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """60 units, seen by two people who are right in 95 % of cases and three who are in 45 %."""
    truth = rng.integers(0, 3, size=60)
    unit, annotator = np.repeat(np.arange(60), 5), np.tile(np.arange(5), 60)
    right = rng.random(300) < np.array([0.95, 0.95, 0.45, 0.45, 0.45])[annotator]
    label = np.where(right, truth[unit], (truth[unit] + rng.integers(1, 3, size=300)) % 3)
    return unit, annotator, label, truth


def test_few_votes_make_no_posterior_too_sure_where_confusions_are_pooled() -> None:
    truths, plain, pooled = [], [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        truth = rng.integers(0, 3, size=200)
        annotator = np.concatenate([rng.choice(20, 3, replace=False) for _ in range(200)])
        unit = np.repeat(np.arange(200), 3)
        label = np.where(rng.random(600) < 0.7, truth[unit], rng.integers(0, 3, size=600))
        truths.append(truth)
        plain.append(dawid_skene(unit, annotator, label, 3).posterior)
        pooled.append(dawid_skene(unit, annotator, label, 3, pooled=10).posterior)
    truth = np.concatenate(truths)
    sure, right = {}, {}
    for name, rows in (("plain", plain), ("pooled", pooled)):
        posterior = np.concatenate(rows)
        sure[name] = posterior.max(1).mean()
        right[name] = (posterior.argmax(1) == truth).mean()
    assert right["pooled"] > right["plain"]
    assert sure["plain"] - right["plain"] > 0.1
    assert sure["pooled"] - right["pooled"] < 0.05


def test_who_has_many_votes_is_pooled_little() -> None:
    unit, annotator, label, _ = crowd(np.random.default_rng(4))
    unit = np.concatenate([unit + 60 * n for n in range(40)])
    annotator, label = np.tile(annotator, 40), np.tile(label, 40)
    alone = dawid_skene(unit, annotator, label, 3)
    pooled = dawid_skene(unit, annotator, label, 3, pooled=10)
    assert pooled.confusion == pytest.approx(alone.confusion, abs=0.05)
    # One person alone is the average: nothing is taken from who agrees with nobody else.
    lonely = dawid_skene([0, 1, 2], [0, 0, 0], [0, 1, 2], 3, pooled=10)
    assert lonely.posterior == pytest.approx(np.eye(3), abs=0.1)


def test_known_answers_stay_and_tell_who_is_right() -> None:
    # Units 0 to 3 are known; on unit 4 the two differ, and one was right on all that is known.
    unit, annotator = np.repeat(np.arange(5), 2), np.tile([0, 1], 5)
    label = np.array([0, 1, 1, 0, 0, 1, 1, 0, 0, 1])
    known = [0, 1, 0, 1, -1]
    found = dawid_skene(unit, annotator, label, 2, known=known)
    assert found.posterior[:4] == pytest.approx(np.eye(2)[known[:4]])
    assert found.posterior[4].argmax() == 0
    assert found.confusion[0] == pytest.approx(np.eye(2), abs=0.02)
    assert found.prior == pytest.approx(found.posterior[4], abs=1e-3)  # of what is not known alone
    with pytest.raises(ValueError, match="known must be 5 labels below n_labels = 2, or -1"):
        dawid_skene(unit, annotator, label, 2, known=[0, 1, 2, 0, -1])


def test_the_statistics_import_without_a_configured_django() -> None:
    code = (
        "import annotation.agreement, annotation.ranking, annotation.quality.carelessness, sys;"
        "print([name for name in sys.modules if name.startswith('django.')])"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
