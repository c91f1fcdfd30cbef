"""The chain from the votes to the report as one picture: where boxes stand, what they say."""

import re
from collections.abc import Iterable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from pipelines import graph
from pipelines.graph_layout import laid_out, reduced
from pipelines.loops.chain import start_loop
from pipelines.models import LoopGroup, Run
from pipelines.registry import source_of
from tests.pipelines.loop_world import loop_config, make_campaign, play, play_all

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]


@pytest.fixture
def loop(mia: Any) -> LoopGroup:
    return start_loop(make_campaign(user=mia), loop_config(), mia)


def _as(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


# Where they stand.


@st.composite
def _graphs(draw: st.DrawFn) -> tuple[list[str], list[tuple[str, str]]]:
    """Any graph without circles: edges lead from smaller numbers to larger ones."""
    count = draw(st.integers(1, 12))
    pairs = [(a, b) for a in range(count) for b in range(a + 1, count)]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    return [str(n) for n in range(count)], [(str(a), str(b)) for a, b in chosen]


@given(_graphs())
def test_every_node_has_one_place_behind_all_that_it_stands_on(
    drawn: tuple[list[str], list[tuple[str, str]]],
) -> None:
    nodes, edges = drawn
    layout = laid_out(nodes, edges)
    column = {name: x for x, names in enumerate(layout.columns) for name in names if name}
    assert sorted(column) == sorted(nodes)
    assert all(column[source] < column[target] for source, target in edges)
    # Every edge goes from box to box, one column at a time, and meets no other box.
    assert set(layout.ways) == set(edges)
    for (source, target), way in layout.ways.items():
        assert [x for x, _ in way] == list(range(column[source], column[target] + 1))
        names = [layout.columns[x][y] for x, y in way]
        assert names == [source, *[""] * (len(way) - 2), target]


def test_neighbours_stand_side_by_side() -> None:
    # Two chains that were named crosswise: no line needs to cross another.
    layout = laid_out(["a", "b", "B", "A"], [("a", "A"), ("b", "B")])
    assert layout.columns in ([["a", "b"], ["A", "B"]], [["b", "a"], ["B", "A"]])


@given(_graphs())
def test_a_line_is_left_out_only_where_a_longer_way_says_the_same(
    drawn: tuple[list[str], list[tuple[str, str]]],
) -> None:
    nodes, edges = drawn
    kept = reduced(edges)
    assert kept <= set(edges)
    assert _reachable(nodes, kept) == _reachable(nodes, edges)
    for edge in kept:  # none of them could go
        assert _reachable(nodes, kept - {edge}) != _reachable(nodes, edges)


def _reachable(nodes: list[str], edges: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    found = set(edges)
    for middle in nodes:
        found |= {(a, d) for a, b in found for c, d in found if b == c == middle}
    return found


def test_a_circle_is_refused() -> None:
    with pytest.raises(ValueError, match="run in a circle"):
        laid_out(["a", "b"], [("a", "b"), ("b", "a")])


# What is drawn.


def test_a_loop_is_one_picture_from_snapshot_to_report(loop: LoopGroup) -> None:
    picture = graph.of_group(loop)
    assert sorted(pk for box in picture.boxes for pk in box.runs) == sorted(
        loop.runs.values_list("pk", flat=True)
    )
    kinds = {box.what: box for box in picture.boxes}
    assert kinds["snapshot"].x == min(box.x for box in picture.boxes)
    assert kinds["report"].x == max(box.x for box in picture.boxes)
    read = {
        (str(source_of(row)), str(row.run_id))
        for run in loop.runs.all()
        for row in run.inputs.all()
    } - {("None", str(run.pk)) for run in loop.runs.all()}
    assert len(picture.lines) == len(reduced(read)) < len(read)
    places = {(box.x, box.y) for box in picture.boxes}
    assert len(places) == len(picture.boxes)
    assert all(0 < box.x < picture.width and 0 < box.y < picture.height for box in picture.boxes)


def test_each_box_says_how_its_run_is(loop: LoopGroup) -> None:
    snapshot = loop.runs.get(kind="snapshot")
    play(snapshot)
    boxes = {box.what: box for box in graph.of_group(loop).boxes}
    assert (boxes["snapshot"].state, boxes["snapshot"].done) == ("succeeded", 168)
    assert (boxes["reward model"].state, boxes["reward model"].done) == ("queued", 0)
    assert boxes["snapshot"].url == f"/runs/{snapshot.pk}/"


def test_the_chain_of_a_run_leaves_out_what_it_has_nothing_to_do_with(
    loop: LoopGroup, mia: Any
) -> None:
    other = start_loop(make_campaign(user=mia, name="Other"), loop_config(name="Other"), mia)
    alignment = loop.runs.filter(kind="alignment").first()
    assert alignment is not None
    drawn = {pk for box in graph.of_run(alignment).boxes for pk in box.runs}
    siblings = set(loop.runs.filter(kind="alignment").values_list("pk", flat=True))
    assert drawn & siblings == {alignment.pk}
    assert not drawn & set(other.runs.values_list("pk", flat=True))
    assert {"snapshot", "report"} <= set(
        Run.objects.filter(pk__in=drawn).values_list("kind", flat=True)
    )
    assert [box.runs for box in graph.of_run(alignment).boxes if box.here] == [[alignment.pk]]


def test_many_alike_are_one_box(loop: LoopGroup, mia: Any) -> None:
    from pipelines.starting import start_run

    play_all(loop)
    made = loop.runs.filter(kind="generation").first()
    model = loop.runs.get(kind="reward_model")
    assert made is not None
    inputs = {
        "reward_model": model.artifacts.get(),
        "generations": made.artifacts.get(),
    }
    whole = start_run("scoring", {"chunks": 8}, inputs, user=mia)
    (bundle,) = [box for box in graph.of_run(whole).boxes if len(box.runs) > 1]
    assert len(bundle.runs) == 8
    assert bundle.title.startswith("8 runs: ")
    assert (bundle.state, bundle.words) == ("queued", "0 of 8 done")


@pytest.mark.parametrize(
    ("states", "shown"),
    [
        (["succeeded", "failed", "running"], "failed"),
        (["succeeded", "running", "queued"], "running"),
        (["succeeded", "paused"], "paused"),
        (["succeeded", "succeeded"], "succeeded"),
    ],
)
def test_a_bundle_shows_what_matters_most(states: list[str], shown: str) -> None:
    assert graph.state_of(states) == shown


# Pages.


def test_the_picture_stands_on_the_page_of_the_loop_and_links_every_run(
    loop: LoopGroup, lee: Any
) -> None:
    html = _as(lee).get(reverse("pipelines:loop-group", args=[loop.pk])).content.decode()
    svg = html[html.index("<svg") : html.index("</svg>")]
    for run in loop.runs.all():
        assert f'href="/runs/{run.pk}/"' in svg
        assert f'data-node="{run.pk}"' in svg
    assert " style=" not in svg


def test_a_run_leads_to_its_chain(loop: LoopGroup, mia: Any, alice: Any) -> None:
    run = loop.runs.get(kind="report")
    path = reverse("pipelines:chain", args=[run.pk])
    assert f'href="{path}"' in _as(mia).get(f"/runs/{run.pk}/").content.decode()
    html = _as(mia).get(path).content.decode()
    assert len(re.findall(r'class="chain-box', html)) == loop.runs.count()
    assert _as(alice).get(path).status_code == 403


def test_a_name_is_text_in_the_picture(mia: Any) -> None:
    from pipelines.starting import start_run

    campaign = make_campaign(pairs=2)
    name = '"><script>alert(1)</script>'
    run = start_run("snapshot", {"campaign": campaign.pk}, user=mia, name=name)
    html = _as(mia).get(reverse("pipelines:chain", args=[run.pk])).content.decode()
    assert "<script>alert" not in html
    assert "&lt;script&gt;" in html


def test_a_picture_takes_a_fixed_number_of_queries(
    loop: LoopGroup, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(6):
        graph.of_group(loop)
