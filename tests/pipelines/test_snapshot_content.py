"""Snapshots: what is in them, and that equal votes give an equal address."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from formats.errors import FormatError
from formats.snapshot import read_snapshot
from pipelines.errors import InvalidRunConfig
from pipelines.models import Artifact, Run
from pipelines.registry import path_of
from pipelines.starting import start_run
from tests.pipelines.loop_world import make_campaign, play
from tests.promises import Figures

pytestmark = pytest.mark.django_db


def _snapshot(campaign: Any, **config: Any) -> Artifact:
    run = play(start_run("snapshot", {"campaign": campaign.pk, **config}, user=None))
    found: Artifact = run.artifacts.get()
    return found


def test_it_holds_every_settled_triplet_with_its_labels() -> None:
    artifact = _snapshot(make_campaign(pairs=6))
    snapshot = read_snapshot(path_of(artifact))
    assert snapshot.dimensions.keys == ("VQ", "MQ", "TA")
    assert len(snapshot.records) == 6
    assert artifact.meta["counts"]["labels"]["VQ"] == {
        "A": 2, "B": 1, "tie": 2, "invalid": 1, "none": 0,
    }  # fmt: skip
    for record in snapshot.records:
        assert record.source == "import"
        assert (Path(record.video_a.path).stem, record.video_a.generator) == (
            record.video_a.sha256,
            "world",
        )


@pytest.mark.promise("A9")
def test_equal_labels_give_an_equal_address_whoever_takes_it() -> None:
    campaign = make_campaign(pairs=4)
    first, again = _snapshot(campaign), _snapshot(campaign)
    assert first.sha256 == again.sha256
    assert first.path != again.path


@pytest.mark.promise("A9")
def test_the_order_of_arrival_does_not_matter(settings: Any) -> None:
    from annotation.models import Consensus, Triplet

    campaign = make_campaign(pairs=4)
    before = _snapshot(campaign).sha256
    rows = list(Consensus.objects.filter(triplet__campaign=campaign).order_by("-pk"))
    triplets = {row.triplet_id: row.triplet for row in rows}
    campaign.triplets.all().delete()
    for old in sorted(triplets, reverse=True):
        triplet = triplets[old]
        triplet.pk = None
        triplet.save(force_insert=True)
        for row in rows:
            if row.triplet_id == old:
                Consensus.objects.create(
                    triplet=triplet, dimension=row.dimension, label=row.label, source=row.source
                )
    assert Triplet.objects.count() == 4
    assert _snapshot(campaign).sha256 == before


@pytest.mark.promise("A9")
def test_one_other_label_gives_another_address() -> None:
    from annotation.models import Consensus

    campaign = make_campaign(pairs=4)
    before = _snapshot(campaign).sha256
    row = Consensus.objects.filter(label="A").first()
    Consensus.objects.filter(pk=row.pk).update(label="B")
    assert _snapshot(campaign).sha256 != before


def test_people_who_split_leave_a_soft_label_only() -> None:
    from annotation.models import Consensus

    campaign = make_campaign(pairs=2)
    row = Consensus.objects.filter(triplet__campaign=campaign, dimension__key="TA")
    row.update(label=None, source="votes", posterior=[0.5, 1 / 3, 1 / 6], votes=3)
    snapshot = read_snapshot(path_of(_snapshot(campaign)))
    for record in snapshot.records:
        assert "TA" not in record.labels
        assert record.posterior["TA"] == [0.5, 0.333333, 0.166667]
        assert record.votes == 3


def test_a_triplet_that_is_still_open_or_a_withdrawn_clip_stays_out() -> None:
    from annotation.models import Triplet, Video

    campaign = make_campaign(pairs=4)
    first, second = campaign.triplets.order_by("pk")[:2]
    Triplet.objects.filter(pk=first.pk).update(state="open")
    Video.objects.filter(pk=second.video_b_id).update(withdrawn=True)
    assert len(read_snapshot(path_of(_snapshot(campaign))).records) == 2


@pytest.mark.promise("A9")
def test_a_byte_that_was_flipped_at_any_of_twenty_places_is_found(figures: Figures) -> None:
    folder = path_of(_snapshot(make_campaign(pairs=2)))
    files = [folder / name for name in ("preferences.jsonl", "dimensions.json")]
    chance, found = random.Random(9), 0
    for number in range(20):
        file = files[number % 2]
        whole = file.read_bytes()
        data = bytearray(whole)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        file.write_bytes(data)
        with pytest.raises(FormatError, match=rf"{file.name}: the file is damaged"):
            read_snapshot(folder)
        file.write_bytes(whole)
        found += 1
    assert len(read_snapshot(folder).records) == 2
    figures("A9", flipped=20, found=found)


@pytest.mark.promise("A9")
@pytest.mark.faults
@pytest.mark.django_db(transaction=True)
def test_another_worker_in_another_process_leaves_the_same_bytes(
    start_worker: Any, short_times: Any
) -> None:
    campaign = make_campaign(pairs=4)
    here = _snapshot(campaign)
    run = start_run("snapshot", {"campaign": campaign.pk}, user=None)
    assert start_worker("--once").wait(60) == 0
    there = Run.objects.get(pk=run.pk).artifacts.get()
    assert there.sha256 == here.sha256
    # One content, once in the store, whichever run it belongs to.
    assert set(there.files.values_list("name", "blob")) == set(
        here.files.values_list("name", "blob")
    )


def test_a_campaign_without_labels_gives_none(capsys: pytest.CaptureFixture[str]) -> None:
    from annotation.models import Consensus

    make_campaign("empty", pairs=1)
    Consensus.objects.all().delete()
    run = start_run("snapshot", {"campaign": "empty"}, user=None)
    with pytest.raises(FormatError, match="campaign 'empty' has no settled triplet yet"):
        play(run)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"campaign": "nobody"}, "there is no campaign 'nobody'; there are: none"),
        ({"campain": 1}, "unknown key 'campain'; did you mean 'campaign'"),
        ({"split": {"train": 0.9}}, "train, validation and test must sum to 1"),
    ],
)
def test_a_bad_config_is_refused_before_a_row_is_written(config: Any, sentence: str) -> None:
    with pytest.raises(InvalidRunConfig, match=sentence):
        start_run("snapshot", config, user=None)
    assert not Run.objects.exists()


def test_the_real_clips_go_from_csv_to_snapshot_and_back(shared: Path, tmp_path: Path) -> None:
    from annotation.imports.reading_in import import_videoalign
    from pipelines.exports.exporting import export

    file = shared / "data" / "videoalign" / "example.csv"
    import_videoalign(file, "real")
    from annotation.models import Campaign

    artifact = _snapshot(Campaign.objects.get(name="real"))
    records = read_snapshot(path_of(artifact)).records
    assert sorted(record.labels["TA"].value for record in records) == ["A", "A", "tie"]
    done = export(artifact, "videoalign", tmp_path / "out.csv")
    # Byte for byte the header and the three distinct pairs of the file.
    assert done.path.read_bytes() == b"".join(file.read_bytes().splitlines(keepends=True)[:4])
    assert json.dumps(artifact.meta["counts"]["splits"]["test"]) == '{"pairs": 0, "prompts": 0}'


def test_an_unknown_campaign_ends_the_command_with_a_sentence() -> None:
    with pytest.raises(CommandError, match="there is no campaign 'nobody'"):
        call_command("take_snapshot", "nobody")


def test_clips_that_were_scored_alone_carry_their_scores_as_far_as_the_trainer(
    tmp_path: Path,
) -> None:
    import numpy as np

    from annotation.campaigns import create_campaign
    from annotation.imports.reading_in import Target, import_rows
    from annotation.imports.sources import table_with_clips
    from annotation.models import Campaign, Video
    from models_rm.preferences.data import pairs_of
    from pipelines.exports.exporting import export

    make_campaign(pairs=1)
    create_campaign("alone", "anime-groups", kind="single")
    table = tmp_path / "scores.csv"
    table.write_text(
        "video,MOS_appearance,MOS_consistency\n"
        + "".join(
            f"{pk},4.5,{n + 1}\n" for n, pk in enumerate(Video.objects.values_list("pk", flat=True))
        )
    )
    import_rows(table_with_clips(table), Target("alone"))
    artifact = _snapshot(Campaign.objects.get(name="alone"))
    records = read_snapshot(path_of(artifact)).records
    assert [(each.video_b, each.labels) for each in records] == [(None, {})] * 2
    assert {each.scores_a["appearance"] for each in records} == {4.5}
    assert artifact.meta["counts"]["labels"]["appearance"]["scored"] == 2
    pairs = pairs_of(records, ("appearance", "consistency"))
    assert not pairs.valid.any()  # nothing to compare
    assert np.array_equal(pairs.a, pairs.b)
    assert np.array_equal(pairs.score_a, pairs.score_b)
    assert export(artifact, "parquet", tmp_path / "out.parquet").rows == 2
    assert export(artifact, "trl", tmp_path / "out.jsonl").rows == 0
