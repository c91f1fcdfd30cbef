"""The page of a learning curve: measured points, the law between and beyond, the forecast."""

import itertools
from typing import Any

import pytest
from django.test import Client

from formats.files import write_json
from formats.outcome import Outcome, Output, OutputKind
from formats.run_dir import RunDir
from pipelines.rewards.learning import learning_panel
from tests.pipelines.loop_world import base_models, make_campaign, play

SIZES = (100.0, 200.0, 400.0, 800.0)


def row(value: float) -> dict[str, Any]:
    return {"value": value, "interval": [value - 0.05, value + 0.04], "by_seed": [value]}


def content(*, law: bool = True) -> dict[str, Any]:
    curve = [[100 * 2 ** (n / 4), 0.6 + n / 100, 0.58 + n / 100, 0.7] for n in range(17)]
    keys = ["VQ", "TA", "mean"]
    points = [
        {"fraction": 0.1, "size": size, "accuracy_with_ties": dict.fromkeys(keys, row(0.5)),
         "accuracy_without_ties": {**dict.fromkeys(keys, row(0.6 + n / 25)), "TA": None}}
        for n, size in enumerate(SIZES)
    ]  # fmt: skip
    laws = dict.fromkeys(keys, {"curve": curve} if law else None)
    return {"dimensions": ["VQ", "TA"], "unit": "votes", "seeds": [0, 1], "points": points,
            "test": {"pairs": 60, "prompts": 9}, "laws": laws, "forecasts": {}}  # fmt: skip


def test_measured_points_stand_on_the_axis_of_the_law() -> None:
    mean, vq, _ = learning_panel(content(), {"VQ": "1 more point for about 90 votes"}).parts
    assert (mean.title, mean.number) == ("Mean of the dimensions", "0.720")
    assert vq.note == "1 more point for about 90 votes"
    (_, chart), = vq.charts  # fmt: skip
    law, measured = chart.curves
    assert (len(law.dots), len(measured.dots)) == (17, 4)
    places = [x for x, _ in measured.dots]
    # Each amount is twice the one before: the same distance on the axis.
    steps = [b - a for a, b in itertools.pairwise(places)]
    assert steps == pytest.approx([steps[0]] * 3, abs=0.05)


def test_without_a_law_the_points_stand_alone_and_gaps_stay_gaps() -> None:
    _, vq, ta = learning_panel(content(law=False), {}).parts
    assert [curve.name for curve in vq.charts[0][1].curves] == ["measured"]
    assert len(vq.charts[0][1].curves[0].dots) == 4
    assert (ta.number, ta.interval, len(ta.charts[0][1].curves[0].dots)) == ("–", "", 0)


@pytest.mark.django_db
def test_the_run_shows_it_with_the_forecast(mia: Any, client: Client) -> None:
    from pipelines.models import BaseModel
    from pipelines.starting import start_run

    def leave(run: Any, folder: RunDir) -> Outcome:
        path = "outputs/learning_curve.json"
        sha256 = write_json(folder.root / path, "learning_curve/1", content())
        meta = {"words": {"mean": "1 more point of accuracy for about 240 more votes"}}
        return Outcome(0, outputs=(Output(OutputKind.LEARNING_CURVE, path, sha256, meta),))

    campaign = make_campaign(user=mia, pairs=2)
    snapshot = play(start_run("snapshot", {"campaign": campaign.pk}, user=mia)).artifacts.get()
    inputs = {
        "snapshot": snapshot,
        "backbone": BaseModel.objects.get(name=base_models()["backbone"]),
    }
    run = play(start_run("learning_curve", {}, inputs, user=mia), leave=leave)
    client.force_login(mia)
    html = client.get(f"/runs/{run.pk}/").content.decode()
    assert "How many more votes does it need?" in html
    assert "1 more point of accuracy for about 240 more votes" in html
    assert " style=" not in html
