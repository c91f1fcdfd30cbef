"""The benchmark of active selection: its votes, its reward model, its figures; no base needed."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
from numpy.random import default_rng

from annotation.statistics.gaining import probabilities
from annotation.statistics.strategies import Candidate
from bench.active_features import Clips
from bench.active_market import Market, World, accuracy, fitted, votes_on
from bench.active_plot import drawn
from bench.active_tables import active_world
from bench.active_world import WAYS, Buyer, figures, geometric, targets, votes_for
from bench.tables import table
from demo.annotators import THETA, Annotator, random_crowd

SMALL = World(
    prompts=8, clips=6, first_pairs=5, round_pairs=5, pairs=20, pairs_active=15, members=6
)


def test_all_pairs_at_once_are_voted_on_as_the_annotators_of_the_demo_judge():
    quality = np.array([[0.0], [1.0]])
    pairs = np.tile([[1, 0]], (40_000, 1))
    steady = [Annotator()] * 3
    shares = votes_on(pairs, quality, steady, 1, default_rng(0)).mean((0, 1))
    assert shares == pytest.approx(probabilities(1.0, THETA), abs=0.01)
    careless = [Annotator(careless=True)] * 3
    spoiled = votes_on(pairs, quality, careless, 1, default_rng(0)).mean((0, 1))
    assert spoiled == pytest.approx(0.4 * shares + 0.6 / 3, abs=0.01)
    assert votes_on(pairs, quality, steady, 2, default_rng(0)).sum(-1).max() == 2


def test_the_head_finds_the_weights_behind_the_votes():
    rng = default_rng(1)
    true = np.array([2.0, -1.0, 0.0])
    difference = rng.normal(size=(6000, 3))
    chances = probabilities(difference @ true, THETA)
    counts = np.stack([rng.multinomial(1, each) for each in chances]).astype(float)
    head = fitted(difference, counts, prior=1.0)
    deviation = np.sqrt(head.covariance.diagonal())
    assert (np.abs(head.weights - true) < 4 * deviation).all()
    assert deviation.max() < 0.1


def market(seed: int = 0) -> Market:
    """A world whose clips show their quality in four of eight directions."""
    rng = default_rng(seed)
    world, count = SMALL, SMALL.prompts * SMALL.clips
    features = rng.normal(size=(count, 1, 8)) / 8**0.5
    quality = features[:, :, :4].sum(-1) * 3
    prompt = np.repeat(np.arange(world.prompts), world.clips)
    clips = Clips(features, quality, prompt, ("x",) * count)
    test = np.array([[a, a + 1] for a in range(0, count, 2)])
    return Market(
        world=world,
        features=features,
        clips=clips,
        candidates=[Candidate(int(prompt[n]), "x", str(n)) for n in range(count)],
        crowd=random_crowd(5, 0, rng),
        test=test,
        said=np.sign(quality[test[:, 0]] - quality[test[:, 1]]),
    )


@pytest.mark.parametrize("way", list(WAYS))
def test_every_way_buys_the_same_number_of_pairs_and_no_pair_twice(way: str):
    buyer = Buyer(market(), way, 3)
    curve = buyer.curve()
    assert len(curve) == (4 if way == "random" else 3)
    assert len({frozenset(pair) for pair in buyer.pairs}) == len(buyer.pairs) == 5 * len(curve)
    assert curve[-1] == pytest.approx(accuracy(buyer.market, buyer.heads))
    assert Buyer(market(), way, 3).curve() == curve


def test_all_ways_begin_with_the_same_pairs():
    first = {way: Buyer(market(), way, 3) for way in WAYS}
    for buyer in first.values():
        buyer.curve()
    assert len({tuple(buyer.pairs[:5]) for buyer in first.values()}) == 1


def test_votes_until_a_target_count_from_the_last_round_below_it():
    world = replace(SMALL, votes=3)
    assert votes_for(np.array([0.5, 0.8, 0.6, 0.7]), 0.65, world) == 3 * (5 + 5 * 2.5)
    assert votes_for(np.array([0.9, 0.9]), 0.65, world) == 15
    assert votes_for(np.array([0.9, 0.6]), 0.65, world) is None
    assert targets(0.8) == {"of_accuracy": pytest.approx(0.72), "above_chance": pytest.approx(0.77)}


def test_a_ratio_that_one_world_never_reaches_has_no_mean():
    assert geometric([0.5, 2.0])["mean"] == pytest.approx(1)
    assert geometric([0.5, None]) == {"mean": None, "low": None, "high": None, "never": 1}


def test_the_figures_become_a_table_and_a_drawing():
    rows = [
        {
            "seed": seed, "final": 0.75,
            "curves": {"random": [0.5, 0.6, 0.7, 0.75], "alone": [0.5, 0.6, 0.7],
                       "committee": [0.5, 0.7, 0.74], "last_layer": [0.5, 0.7, 0.75]},
            "of_accuracy": {"votes": {"random": 16.0, "alone": 14.0, "committee": 8.0,
                                      "last_layer": 4.0},
                            "ratio": {"alone": 0.875, "committee": 0.5, "last_layer": 0.25}},
            "above_chance": {"votes": {"random": 18.0, "alone": None, "committee": 12.0,
                                       "last_layer": 9.0},
                             "ratio": {"alone": None, "committee": 12 / 18, "last_layer": 0.5}},
        }
        for seed in (1, 2, 3)
    ]  # fmt: skip
    found = figures(rows, SMALL)
    assert found["ratio"]["of_accuracy"]["committee"]["mean"] == pytest.approx(0.5)
    text = active_world(found, table)
    assert "| 90 % of the final accuracy, committee | 16 | 8 | 0.50 (0.50 to 0.50) | 0.5 |" in text
    assert "not reached in 3 worlds" in text
    drawing = ET.fromstring(drawn(found))
    lines = drawing.findall("{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 4
