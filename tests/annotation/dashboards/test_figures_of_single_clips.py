"""A campaign of single clips has scores where one of pairs has labels."""

import numpy as np
import pytest

from annotation.dashboards import PANELS
from bench.annotation_data import Plan, fill


@pytest.fixture
def scored(db):
    return fill(Plan("scored", pairs=110, kind="single", annotators=6, seed=3))


def test_every_panel_reads_scores(scored):
    panels = {name: read(scored) for name, read in PANELS.items()}
    assert panels["progress"].counted == 330
    assert not panels["sides"].applies
    shares = panels["labels"].dimensions[0].shares
    assert list(shares) == ["1", "2", "3", "4", "5", "invalid"]
    assert sum(shares.values()) == pytest.approx(1)
    assert panels["labels"].dimensions[0].ties is None
    for name, panel in panels.items():
        for table in panel.tables():
            assert all(len(row) == len(table.columns) for row in table.rows), name


def test_agreement_of_scores_is_ordinal_and_interval(scored):
    row = PANELS["agreement"](scored).dimensions[0]
    for figure in (row.alpha_ordinal, row.alpha_interval):
        assert figure.low < figure.value < figure.high
    # Who gives a 3 where others give a 4 is close to them: nominal alpha does not see that.
    assert row.alpha_ordinal.value > row.alpha_nominal.value


def test_generators_are_placed_by_their_mean_score(scored):
    from annotation.models import Judgement

    board = PANELS["generators"](scored).dimensions[0]
    places = board.places
    assert [row.score for row in places] == sorted((row.score for row in places), reverse=True)
    assert places[0].strength is None
    best = places[0].generator
    given = Judgement.objects.filter(
        vote__campaign=scored, dimension__key=board.key, label=None,
        vote__triplet__video_a__generator__name=best,
    ).values_list("score_a", flat=True)  # fmt: skip
    assert places[0].score == pytest.approx(np.mean(list(given)))
    assert places[0].judgements == len(given)
    assert places[0].score_low <= places[0].score <= places[0].score_high
    assert sum(board.distribution) == board.judgements
    assert (board.duels, board.theta) == ((), None)


def test_pages_of_single_clips_are_drawn(scored, lee, client):
    client.force_login(lee)
    for name in PANELS:
        if name == "progress":
            continue
        html = client.get(f"/campaigns/{scored.pk}/panels/{name}/").content.decode()
        assert f'id="panel-{name}"' in html
        assert "None" not in html
    assert "Mean score" in client.get(f"/campaigns/{scored.pk}/panels/generators/").content.decode()
