"""Out in one format, in as a campaign, out in another: what both hold is the same."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from pipelines.exporting import FORMATS
from pipelines.exports.facts import Fact
from tests.pipelines.travelling import (
    World,
    bring,
    kept_by,
    lay_out,
    plain,
    settle_clips,
    snapshot_of,
    worlds,
)
from tests.promises import counts

pytestmark = pytest.mark.django_db
TRIPS = settings(
    max_examples=counts(12, 100, 1000),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    derandomize=True,
    phases=[Phase.generate],
)
NAMES = sorted(FORMATS)


class RoundTrips(TestCase):
    @TRIPS
    @given(worlds(), st.data())
    def test_what_a_format_holds_comes_back(self, world: World, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(NAMES))
        expected = kept_by(name, world)
        if not expected.records:
            return
        settle_clips(world)
        with tempfile.TemporaryDirectory() as scratch:
            out = world.export(name, Path(scratch))
            by_path = Fact.SHA256 not in FORMATS[name].holds
            clips = lay_out(world, Path(scratch) / "clips") if by_path else None
            bring(out.path, world, "came", clips)
            assert plain(snapshot_of("came", world.dimensions)) == plain(expected)
