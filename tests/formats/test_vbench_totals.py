"""The totals of VBench and VBench-I2V: vectors, published tables, and what has no total."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formats.errors import FormatError
from formats.vbench import I2V, PROTOCOLS, T2V, IncompleteError, Protocol, total, totals

RAW_T2V = {
    "subject_consistency": 0.9621,
    "background_consistency": 0.9702,
    "temporal_flickering": 0.9910,
    "motion_smoothness": 0.9892,
    "dynamic_degree": 0.6,
    "aesthetic_quality": 0.6250,
    "imaging_quality": 0.6700,
    "object_class": 0.88,
    "multiple_objects": 0.65,
    "human_action": 0.95,
    "color": 0.86,
    "spatial_relationship": 0.70,
    "scene": 0.52,
    "appearance_style": 0.24,
    "temporal_style": 0.25,
    "overall_consistency": 0.27,
}
RAW_I2V = {
    "camera_motion": 0.40,
    "i2v_subject": 0.9752,
    "i2v_background": 0.9504,
    "subject_consistency": 0.9699,
    "background_consistency": 0.97,
    "motion_smoothness": 0.9934,
    "dynamic_degree": 0.4559,
    "aesthetic_quality": 0.5431,
    "imaging_quality": 0.7058,
}
BOTH = [(T2V, RAW_T2V), (I2V, RAW_I2V)]


def test_the_vector_of_text_to_video() -> None:
    found = totals(RAW_T2V, T2V)
    assert found.groups["quality"] == pytest.approx(0.839616, abs=1e-6)
    assert found.groups["semantic"] == pytest.approx(0.771239, abs=1e-6)
    assert found.total == pytest.approx(0.825941, abs=1e-6)


def test_the_vector_of_image_to_video() -> None:
    found = totals(RAW_I2V, I2V)
    assert found.groups["quality"] == pytest.approx(0.797620, abs=1e-6)
    assert found.groups["i2v"] == pytest.approx(0.925614, abs=1e-6)
    assert found.total == pytest.approx(0.861617, abs=1e-6)


@pytest.mark.parametrize(
    ("quality", "semantic", "published"), [(84.37, 78.46, 83.188), (84.19, 80.26, 83.404)]
)
def test_quality_counts_four_times_as_in_the_published_table(
    quality: float, semantic: float, published: float
) -> None:
    shares = T2V.shares
    mean = (quality * shares["quality"] + semantic * shares["semantic"]) / sum(shares.values())
    assert mean == pytest.approx(published, abs=1e-9)


def test_the_benchmarks_have_sixteen_and_nine_dimensions() -> None:
    assert len(T2V.dimensions) == len(RAW_T2V) == 16
    assert len(I2V.dimensions) == len(RAW_I2V) == 9
    assert len(T2V.of_group("quality")) == 7
    assert len(I2V.of_group("i2v")) == 3


@pytest.mark.parametrize(("protocol", "raw"), BOTH)
def test_a_total_is_refused_without_any_one_dimension(
    protocol: Protocol, raw: dict[str, float]
) -> None:
    for key in raw:
        rest = {name: value for name, value in raw.items() if name != key}
        found = totals(rest, protocol)
        assert found.total is None
        assert found.missing == (key,)
        assert protocol.get(key).group not in found.groups
        with pytest.raises(IncompleteError, match=rf"1 dimension is missing \({key}\)"):
            total(rest, protocol)


def test_a_missing_dimension_is_not_zero() -> None:
    """What the official script would say of our vector without flickering, for whoever wonders."""
    rest = {**RAW_T2V, "temporal_flickering": 0.0}
    # With raw 0 it normalises to -1.70 and takes a third of the total with it.
    assert total(rest, T2V) == pytest.approx(0.496917, abs=1e-6)
    rest.pop("temporal_flickering")
    assert totals(rest, T2V).total is None


def test_the_missing_ones_are_named_in_the_order_of_the_benchmark() -> None:
    found = totals({"scene": 0.5}, T2V)
    assert found.refusal.startswith("There is no total: 15 dimensions are missing (subject_cons")
    assert found.groups == {}


def test_nothing_is_clipped() -> None:
    found = totals({**RAW_T2V, "motion_smoothness": 0.9990, "scene": 0.9, "color": 0.0}, T2V)
    assert found.normalised["motion_smoothness"] > 1
    assert found.normalised["scene"] == pytest.approx(0.9 / 0.8222)
    low = totals({**RAW_T2V, "appearance_style": 0.0}, T2V)
    assert low.normalised["appearance_style"] < 0


def test_a_dimension_of_the_other_benchmark_is_refused() -> None:
    with pytest.raises(FormatError, match="VBench has no dimension 'i2v_subject'"):
        totals({**RAW_T2V, "i2v_subject": 0.9}, T2V)
    with pytest.raises(FormatError, match="did you mean 'aesthetic_quality'"):
        totals({"aesthetics_quality": 0.5}, T2V)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_has_no_total(value: float) -> None:
    with pytest.raises(FormatError, match="scene must be a finite number"):
        totals({**RAW_T2V, "scene": value}, T2V)


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=lambda each: each.key)
@given(data=st.data())
def test_the_total_is_that_of_the_official_script(protocol: Protocol, data: st.DataObject) -> None:
    """Written as in scripts/cal_final_score.py: sums of weighted values, one division."""
    raw = {key: data.draw(st.floats(0, 1)) for key in protocol.names}
    scores = {}
    for group in protocol.shares:
        rows = protocol.of_group(group)
        weighted = [(raw[x.key] - x.low) / (x.high - x.low) * x.weight for x in rows]
        scores[group] = sum(weighted) / sum(each.weight for each in rows)
    expected = sum(scores[group] * share for group, share in protocol.shares.items())
    expected /= sum(protocol.shares.values())
    assert total(raw, protocol) == pytest.approx(expected, abs=1e-12)
