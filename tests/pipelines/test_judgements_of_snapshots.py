"""Single votes in a snapshot: pseudonyms, reliabilities, and equal votes with an equal address."""

import re
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from django.db import connection

from annotation.agreement import dawid_skene
from formats.labels import Label
from formats.records import PreferenceRecord, VideoRef
from formats.snapshot import read_snapshot
from pipelines import snapshots
from pipelines.judgements import attach, kappa_of, pseudonyms
from pipelines.splitting import Split
from tests.annotation.conftest import Annotator, bare_campaign
from tests.pipelines.loop_world import make_campaign, play

KEYS = ("VQ", "MQ")


def record(number: int) -> PreferenceRecord:
    clip = VideoRef(f"v{number}", "x.mp4", "0" * 64, 8.0, 9)
    return PreferenceRecord(f"p{number:03}", f"prompt {number}", "train", clip, clip, {})


def votes(*rows: str) -> list[list[tuple[int, str, Label]]]:
    """One row per pair, one letter per annotator (A, t, B or . for none), on VQ."""
    words = {"A": Label.A, "t": Label.TIE, "B": Label.B, "x": Label.INVALID}
    return [
        [(who, "VQ", words[letter]) for who, letter in enumerate(row) if letter in words]
        for row in rows
    ]


def named(rows: Sequence[str]) -> list[tuple[int, str, str, Label]]:
    """(annotator, pair, dimension, label) of the same letters."""
    return [
        (who, f"p{n:03}", key, word) for n, row in enumerate(votes(*rows)) for who, key, word in row
    ]


def attached(said: Sequence[Any]) -> Any:
    return attach([record(n) for n in range(len(said))], said, KEYS)


def test_names_say_nothing_of_numbers_or_order() -> None:
    said = votes("AAt", "ABt", "tBt")
    renumbered = [[(100 - who, key, word) for who, key, word in row][::-1] for row in said]
    assert attached(said) == attached(renumbered)
    found = attached(said).records[0].judgements
    assert len({each.annotator for each in found}) == 3
    assert all(re.fullmatch(r"annotator-[0-9a-f]{12}", each.annotator) for each in found)
    assert [each.annotator for each in found] == sorted(each.annotator for each in found)


@pytest.mark.promise("D1")
def test_one_vote_more_deals_names_that_no_other_snapshot_has() -> None:
    people = 8
    chance = np.random.default_rng(0)
    rows = ["".join(chance.choice(list("AtB"), people)) for _ in range(30)]
    seen = set(pseudonyms(named(rows)).values())
    for extra in range(40):
        more = [*rows, "." * (extra % people) + "A" + "." * extra]
        names = set(pseudonyms(named(more)).values())
        assert not names & seen or extra >= people  # the same votes again are the same snapshot
        seen |= names


def test_people_who_said_the_very_same_are_interchangeable() -> None:
    found = attached(votes("AA", "tt", "BB"))
    assert found == attached([row[::-1] for row in votes("AA", "tt", "BB")])
    one, two = sorted(found.annotators)
    assert two == f"{one}-2"


def test_the_careless_are_told_from_the_careful() -> None:
    chance = np.random.default_rng(1)
    truth = chance.choice(list("AtB"), 300)
    rows = []
    for word in truth:
        good = [word if chance.random() < 0.9 else chance.choice(list("AtB")) for _ in range(4)]
        rows.append("".join([*good, chance.choice(list("AtB")), "t"]))
    found = attached(votes(*rows))
    name_of = pseudonyms(
        [(w, f"p{n:03}", k, v) for n, r in enumerate(votes(*rows)) for w, k, v in r]
    )
    worth = [found.annotators[name_of[who]]["VQ"] for who in range(6)]
    assert min(worth[:4]) > 0.8
    assert worth[4] < 0.15  # guesses
    assert worth[5] < 0.1  # always says tie; ten votes of the others count for everybody
    assert all(round(each, 6) == each for each in worth)


def test_one_annotator_and_an_all_tie_campaign_count_fully() -> None:
    alone = attached(votes("A", "t", "B", "A"))
    (worth,) = alone.annotators.values()
    assert worth["VQ"] > 0.9  # nobody contradicts, and votes are few
    ties = attached(votes("ttt", "ttt"))
    assert [row["VQ"] for row in ties.annotators.values()] == [1.0, 1.0, 1.0]


def test_an_invalid_judgement_stands_in_the_record_and_weighs_on_nobody() -> None:
    found = attached(votes("Ax", "AA"))
    assert [each.label for each in found.records[0].judgements].count(Label.INVALID) == 1
    assert attached(votes("xx")).annotators == {}


def test_kappa_is_that_of_cohen() -> None:
    # Two labels, half each; the annotator is right on 80 % of both: kappa = (0.8 - 0.5) / 0.5.
    unit = np.repeat(np.arange(200), 3)
    label = np.zeros((200, 3), dtype=int)
    label[100:] = 1
    label[:20, 2], label[100:120, 2] = 1, 0
    found = dawid_skene(unit, np.tile([0, 1, 2], 200), label.ravel(), 2)
    assert kappa_of(found).tolist() == pytest.approx([1.0, 1.0, 0.6], abs=0.02)


# With rows.


@pytest.fixture
def voted(db: None, django_user_model: Any) -> Any:
    """Four triplets, three annotators."""
    from django.contrib.auth.models import Group

    campaign = bare_campaign(4, votes_wanted=3, name="voted")
    for n, word in enumerate(("left", "right", "tie")):
        user = django_user_model.objects.create_user(f"secret-name-{n}")
        user.groups.add(Group.objects.get_or_create(name="annotator")[0])
        campaign.members.add(user)
        browser = Annotator(user)
        while not (given := browser.next(campaign)).get("empty"):
            assert browser.vote(given, word).status_code == 200
    return campaign


def _snapshot(campaign: Any) -> Any:
    from pipelines.starting import start_run

    return play(start_run("snapshot", {"campaign": campaign.pk}, user=None)).artifacts.get()


def test_a_snapshot_keeps_what_each_annotator_said_and_no_name(voted: Any) -> None:
    from annotation.models import Judgement
    from pipelines.registry import path_of

    artifact = _snapshot(voted)
    snapshot = read_snapshot(path_of(artifact))
    assert len(snapshot.records) == 4
    found = sorted(
        (record.prompt, each.dimension, each.label.value)
        for record in snapshot.records
        for each in record.judgements
    )
    rows = Judgement.objects.values_list("vote__triplet__prompt__text", "dimension__key", "label")
    assert found == sorted(rows)
    assert len(snapshot.annotators) == 3
    assert all(set(row) == {"VQ", "MQ", "TA"} for row in snapshot.annotators.values())
    assert artifact.meta["counts"]["annotators"] == 3
    assert artifact.meta["counts"]["judgements"] == 36
    for file in path_of(artifact).iterdir():
        assert b"secret-name" not in file.read_bytes()


@pytest.mark.promise("A9")
def test_equal_votes_of_other_people_give_an_equal_address(
    voted: Any, django_user_model: Any
) -> None:
    from annotation.models import Judgement, Vote

    before = _snapshot(voted).sha256
    people = set(Vote.objects.values_list("annotator", flat=True))
    for old in sorted(people, reverse=True):  # so that their numbers come in another order
        new = django_user_model.objects.create_user(f"other-{old}")
        Vote.objects.filter(annotator=old).update(annotator=new)
    assert _snapshot(voted).sha256 == before
    one = Judgement.objects.filter(label="A").first()
    vote = one.vote
    Judgement.objects.filter(pk=one.pk).update(label="tie")
    said = list(vote.said)
    said[0] = "T"
    Vote.objects.filter(pk=vote.pk).update(said="".join(said))
    assert _snapshot(voted).sha256 != before


@pytest.mark.promise("A10")
def test_the_lineage_of_a_snapshot_counts_its_votes(voted: Any) -> None:
    from pipelines.tracing import trace_artifact

    snapshot = _snapshot(voted)
    (found,) = trace_artifact(snapshot).votes
    assert (found.campaign_name, found.pairs, found.votes, found.judgements) == ("voted", 4, 12, 36)
    del snapshot.meta["votes"], snapshot.meta["counts"]["judgements"]  # as of long ago
    snapshot.save()
    (found,) = trace_artifact(snapshot).votes
    assert (found.votes, found.judgements) == (12, None)


def test_an_imported_label_has_no_judgements(db: None) -> None:
    from pipelines.registry import path_of

    snapshot = read_snapshot(path_of(_snapshot(make_campaign(pairs=2))))
    assert [each.judgements for each in snapshot.records] == [[], []]
    assert snapshot.annotators == {}


def test_the_agreement_of_a_snapshot_is_that_of_the_dashboard(voted: Any) -> None:
    from annotation.agreement import gwet_ac1, krippendorff_alpha
    from annotation.dashboards import PANELS
    from annotation.models import Judgement
    from pipelines.snapshots import agreement

    one = Judgement.objects.filter(dimension__key="MQ").order_by("pk").first()
    assert one is not None
    Judgement.objects.filter(pk=one.pk).update(label="invalid", reason="broken")
    found = agreement(voted, ("VQ", "MQ", "TA"))
    panel = {row.key: row for row in PANELS["agreement"](voted).dimensions}
    assert found["VQ"]["alpha"] == pytest.approx(panel["VQ"].alpha_nominal.value)
    assert found["VQ"]["ac1"] == pytest.approx(panel["VQ"].ac1.value)
    # Who could not judge has said nothing about which clip is better.
    assert (found["VQ"]["votes"], found["MQ"]["votes"]) == (12, 11)
    counts = [[0, 0, 0] for _ in range(4)]
    places = {"A": 0, "tie": 1, "B": 2}
    units = {pk: n for n, pk in enumerate(voted.triplets.values_list("pk", flat=True))}
    said = Judgement.objects.filter(dimension__key="VQ")
    for triplet, label in said.values_list("vote__triplet", "label"):
        counts[units[triplet]][places[label]] += 1
    assert found["VQ"]["ac1"] == pytest.approx(gwet_ac1(counts))
    assert found["VQ"]["alpha"] == pytest.approx(krippendorff_alpha(counts))


@pytest.mark.django_db(transaction=True)
def test_labels_and_single_votes_are_of_one_moment(
    django_user_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third vote on a pair, which settles it, falls between the two reads."""
    from django.contrib.auth.models import Group

    campaign = bare_campaign(2, votes_wanted=3)
    browsers = []
    for n in range(3):
        user = django_user_model.objects.create_user(f"person {n}")
        user.groups.add(Group.objects.get(name="annotator"))
        campaign.members.add(user)
        browsers.append(Annotator(user))
    for browser in browsers[:2]:
        while not (given := browser.next(campaign)).get("empty"):
            browser.vote(given, "left")
    last = browsers[2]
    assert last.vote(last.next(campaign), "left").status_code == 200
    read = snapshots.judgements_of

    def settle() -> None:
        assert last.vote(last.next(campaign), "left").status_code == 200
        connection.close()

    def meanwhile(campaign: Any) -> Any:
        found = read(campaign)
        somebody = threading.Thread(target=settle)
        somebody.start()
        somebody.join()
        return found

    monkeypatch.setattr(snapshots, "judgements_of", meanwhile)
    (record,) = snapshots.take(campaign, Split()).records
    assert (record.votes, len(record.judgements)) == (3, 9)
    monkeypatch.undo()
    assert len(snapshots.take(campaign, Split()).records) == 2
