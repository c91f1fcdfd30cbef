"""Out in one format, in as a campaign, out in another: what both hold is the same.

For every format X: the snapshot of what X brought back is the first one, less what X does not hold.
For every further format Y: the export of that snapshot says what a direct export of the first one,
less the same, says. The seven formats make 49 pairs.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from formats.errors import FormatError
from formats.labels import Label
from pipelines.exports.exporting import FORMATS, Export
from pipelines.exports.facts import Fact
from tests.pipelines.exports.travelling import (
    World,
    bring,
    kept_by,
    lay_out,
    named_world,
    plain,
    settle_clips,
    snapshot_of,
    worlds,
)
from tests.promises import counts

pytestmark = [pytest.mark.django_db]
NAMES = sorted(FORMATS)


def trips(smoke: int, reduced: int, full: int) -> settings:
    """Examples as drawn: making them small takes minutes, for every step is an import."""
    return settings(
        max_examples=counts(smoke, reduced, full),
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
    )


def came_back(name: str, world: World, scratch: Path) -> World:
    """The world after a trip through this format."""
    out = world.export(name, scratch / f"through {name}")
    by_path = Fact.SHA256 not in FORMATS[name].holds
    clips = lay_out(world, scratch / "clips") if by_path else None
    report = bring(out.path, world, f"came as {name}", clips)
    assert not report.duplicates
    again = bring(out.path, world, f"came as {name}", clips)
    assert (again.triplets, len(again.duplicates)) == (0, report.triplets)
    return snapshot_of(f"came as {name}", world.dimensions)


# Many worlds on one engine; on both, each pair of formats once (below).
@pytest.mark.one_engine
class RoundTrips(TestCase):
    @trips(12, 300, 3000)
    @given(worlds(), st.sampled_from(NAMES))
    def test_what_a_format_holds_comes_back(self, world: World, name: str) -> None:
        expected = kept_by(name, world)
        if not expected.records:
            return
        settle_clips(world)
        with tempfile.TemporaryDirectory() as scratch:
            assert plain(came_back(name, world, Path(scratch))) == plain(expected)

    @trips(4, 60, 600)
    @given(worlds(), st.sampled_from(NAMES))
    def test_what_came_back_goes_out_as_it_would_have_directly(
        self, world: World, through: str
    ) -> None:
        expected = kept_by(through, world)
        if not expected.records:
            return
        settle_clips(world)
        with tempfile.TemporaryDirectory() as folder:
            scratch = Path(folder)
            found = came_back(through, world, scratch)
            for name in NAMES:
                straight = expected.export(name, scratch / f"straight {name}")
                way_round = found.export(name, scratch / f"way round {name}")
                assert said(way_round) == said(straight), (through, name)


def said(out: Export) -> list[str]:
    """What the files of an export say, whatever the order of rows and the names of people.

    People are named by the snapshot from what they said, and by the export from its salt; in these
    lines everybody is one.
    """
    files = [out.path] if out.path.is_file() else sorted(out.path.rglob("*"))
    files += sorted(out.path.parent.glob(f"{out.path.name}.*"))
    lines: list[str] = []
    for file in files:
        if file.is_file() and file.name not in ("manifest.json", "README.md"):
            lines += [f"{file.suffix} {line}" for line in _lines(file)]
    return sorted(lines)


def _lines(file: Path) -> list[str]:
    if file.suffix == ".parquet":
        rows: list[Any] = pq.read_table(file).to_pylist()
    elif file.suffix == ".json":
        rows = [json.loads(file.read_text())]
        rows = rows[0] if isinstance(rows[0], list) else rows
    elif file.suffix == ".jsonl":
        rows = [json.loads(line) for line in file.read_bytes().splitlines()]
    else:
        return file.read_text(encoding="utf-8").split("\n")
    return [json.dumps(_nameless(row), sort_keys=True) for row in rows]


def _nameless(row: Any) -> Any:
    if isinstance(row, dict):
        gone = {"annotator": "somebody", "snapshot": "", "reliability": ""}
        return {key: gone.get(key, _nameless(value)) for key, value in row.items()}
    if isinstance(row, list):
        return sorted((_nameless(each) for each in row), key=repr)
    return row


@pytest.mark.parametrize("through", NAMES)
def test_every_pair_of_formats_once(through: str, tmp_path: Path) -> None:
    world = named_world(["VQ", "MQ"], pairs=5)
    settle_clips(world)
    found, expected = came_back(through, world, tmp_path), kept_by(through, world)
    assert plain(found) == plain(expected)
    for name in NAMES:
        straight = expected.export(name, tmp_path / f"straight {name}")
        way_round = found.export(name, tmp_path / f"way round {name}")
        assert said(way_round) == said(straight), name


SPOILED: dict[str, tuple[str, str, Any]] = {
    "a posterior is forgotten": ("parquet", "annotation.imports.dialect_preferences.posteriors",
                                 lambda *_: {}),
    "votes are not counted": ("hf", "pipelines.snapshots.votes_elsewhere", lambda _: 0),
    "strangers are forgotten": ("votes", "annotation.imports.entering.store_foreign_votes",
                                lambda *_: 0),
    "ties are dropped": ("trl", "annotation.imports.dialect_trl.read_label",
                         lambda word, _: Label(word) if word in ("A", "B", "invalid") else None),
    "numbers are not read": ("labelstudio", "annotation.imports.dialect_tasks.read_score",
                             lambda *_: None),
}  # fmt: skip


@pytest.mark.parametrize("fault", SPOILED)
def test_a_spoiled_import_is_noticed(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, spoiled, change = SPOILED[fault]
    world = named_world(["VQ", "MQ"], pairs=5)
    settle_clips(world)
    monkeypatch.setattr(spoiled, change)
    assert plain(came_back(name, world, tmp_path)) != plain(kept_by(name, world))


@pytest.mark.parametrize("key", ["prompt", "path_A", "fps_B", "pair_id"])
def test_a_dimension_that_is_called_as_a_column_goes_into_no_csv(key: str, tmp_path: Path) -> None:
    world = named_world([key])
    with pytest.raises(FormatError, match=f"the dimension '{key}' is called as a column of this"):
        world.export("videoalign", tmp_path)
    settle_clips(world)
    assert plain(came_back("parquet", world, tmp_path)) == plain(kept_by("parquet", world))
