"""Many annotators at once, as processes; some die. Each race has a mutant that loses it."""

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from annotation.assigning import claim
from annotation.models import Judgement, Lease, Outbox, Slot, Triplet, Vote
from annotation.promises import broken_promises

ROOT = Path(__file__).parents[2]
VOTER = Path(__file__).with_name("voter.py")

pytestmark = [pytest.mark.faults, pytest.mark.django_db(transaction=True)]


class Voter:
    """A running `voter.py`."""

    def __init__(self, environment: dict[str, str], orders: dict[str, Any]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(VOTER)],
            cwd=ROOT,
            env={**environment, "LEDGER": orders.get("ledger", "")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._say(json.dumps(orders))

    def _say(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def wait_until_ready(self) -> None:
        assert self.process.stdout
        if self.process.stdout.readline() != "ready\n":
            raise AssertionError(self.process.stderr and self.process.stderr.read())

    def go(self) -> None:
        self._say("go")

    def report(self) -> dict[str, Any]:
        out, error = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, error
        self.kill()
        return dict(json.loads(out))

    def kill(self) -> None:
        """At once, and with its pipes closed."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()


Start = Callable[[list[dict[str, Any]]], list[Voter]]


@pytest.fixture
def start(database_url, tmp_path) -> Iterator[Start]:
    """Start voters and let them go at the same moment."""
    voters: list[Voter] = []
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("PYTEST")},
        "DATABASE_URL": database_url,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "TIEBREAK_VAR": str(tmp_path / "var"),
        "TIEBREAK_LEASE_SECONDS": "0.4",
        "PYTHONPATH": str(ROOT),
    }

    def begin(orders: list[dict[str, Any]]) -> list[Voter]:
        new = [Voter(environment, each) for each in orders]
        voters.extend(new)
        for voter in new:
            voter.wait_until_ready()
        for voter in new:
            voter.go()
        return new

    yield begin
    for voter in voters:
        voter.kill()


def orders(campaign, users, **more) -> list[dict[str, Any]]:
    return [
        {"campaign": campaign.pk, "user": user.pk, "seed": seed, **more}
        for seed, user in enumerate(users)
    ]


def test_a_race_for_the_last_slots_never_gives_too_many(make_campaign, people, start):
    campaign = make_campaign(12, votes_wanted=2)
    hectic = {"late": 0.1, "abandon": 0.1, "patience": 0.5}
    reports = [each.report() for each in start(orders(campaign, people(4), **hectic))]
    assert broken_promises(campaign) == []
    assert [each["faults"] for each in reports] == [[]] * 4
    assert not Triplet.objects.exclude(state="complete").exists()
    assert Vote.objects.counted().count() == 24
    assert Outbox.objects.filter(kind="triplet.complete").count() == 12
    # What was acknowledged is there, counted or surplus.
    assert sum(each["votes"] for each in reports) == Vote.objects.count()


def test_without_locks_the_race_is_lost(make_campaign, people, start):
    """The mutant: PostgreSQL without row locks, SQLite with deferred transactions."""
    campaign = make_campaign(12, votes_wanted=2)
    mutant = "no locks" if connection.vendor == "postgresql" else "deferred"
    voters = start(orders(campaign, people(4), mutant=mutant))
    reports = [each.report() for each in voters]
    # A pair in too many hands ends as surplus, as a conflict, or at a constraint.
    signs = ("surplus", "faults")
    assert broken_promises(campaign) or any(each[sign] for each in reports for sign in signs)


@pytest.fixture
def leases(make_campaign, people):
    """Pairs in the hands of annotators: (campaign, leases)."""
    campaign = make_campaign(3, votes_wanted=3)
    given = [
        Lease.objects.get(pk=claim(campaign, user, uuid.uuid4(), prefetch=True).token)
        for user in people(2)
        for _ in range(3)
    ]
    return campaign, given


def test_the_same_vote_sent_twice_at_once_is_one_vote(leases, start):
    campaign, given = leases[0], leases[1][::3]  # one pair of each annotator
    twice = [{"token": str(lease.pk), "seed": 7} for lease in given for _ in range(2)]
    replies = [each.report() for each in start(twice)]
    for one, other in zip(replies[::2], replies[1::2], strict=True):
        assert one["vote"] == other["vote"]
        assert sorted((one["replay"], other["replay"])) == [False, True]
    assert Vote.objects.count() == len(given)
    assert broken_promises(campaign) == []


def test_without_replay_and_constraint_there_are_two_votes(leases, start):
    """The mutant of the test above: it must be able to fail."""
    _, given = leases
    # The same pair under a second key, as after a lease that ran out.
    second = Lease.objects.get(pk=given[0].pk)
    second.pk = uuid.uuid4()
    second.save(force_insert=True)
    twice = [
        {"token": str(each.pk), "seed": 7, "mutant": "no replay"} for each in (given[0], second)
    ]
    names = {"vote_one_per_person", "vote_one_per_slot"}
    dropped = [each for each in Vote._meta.constraints if each.name in names]
    with connection.schema_editor() as editor:
        for constraint in dropped:
            editor.remove_constraint(Vote, constraint)
    try:
        replies = [each.report() for each in start(twice)]
        assert replies[0]["vote"] != replies[1]["vote"]
        assert Vote.objects.count() == 2
    finally:
        Judgement.objects.all().delete()
        Vote.objects.all().delete()
        with connection.schema_editor() as editor:
            for constraint in dropped:
                editor.add_constraint(Vote, constraint)


def test_two_tabs_that_change_a_vote_at_once_do_not_overwrite(leases, start):
    campaign, given = leases
    lease = given[0]
    first = start([{"token": str(lease.pk), "seed": 1}])[0].report()["vote"]
    both = [{"token": str(lease.pk), "vote": first, "seed": seed} for seed in (2, 5)]
    replies = [each.report() for each in start(both)]
    assert sorted(each["vote"] is None for each in replies) == [False, True]
    assert list(Vote.objects.order_by("revision").values_list("revision", "state")) == [
        (1, "superseded"),
        (2, "counted"),
    ]
    assert broken_promises(campaign) == []


def acknowledged(folder: Path) -> set[str]:
    return {line for ledger in folder.glob("*.ledger") for line in ledger.read_text().splitlines()}


def lost(folder: Path) -> set[str]:
    stored = {str(pk) for pk in Vote.objects.values_list("pk", flat=True)}
    return acknowledged(folder) - stored


def test_an_acknowledged_vote_survives_the_death_of_clients(make_campaign, people, start, tmp_path):
    campaign, users = make_campaign(200, votes_wanted=3), people(3)
    for round_ in range(2):
        voters = start(
            [
                {**each, "ledger": str(tmp_path / f"{round_}-{each['user']}.ledger")}
                for each in orders(campaign, users)
            ]
        )
        wanted = len(acknowledged(tmp_path)) + 30
        until = time.monotonic() + 20
        while len(acknowledged(tmp_path)) < wanted and time.monotonic() < until:
            time.sleep(0.02)
        for voter in voters:
            voter.kill()
    assert len(acknowledged(tmp_path)) >= 60
    assert lost(tmp_path) == set()
    assert broken_promises(campaign) == []
    # What the dead held is free again as soon as its time is over.
    time.sleep(0.5)
    held = Slot.objects.filter(state="leased")
    assert all(slot.lease_expires is not None for slot in held)


def test_a_client_that_is_answered_before_the_commit_loses_a_vote(
    make_campaign, people, start, tmp_path
):
    """The mutant of the test above: the ledger finds an acknowledgement that came too early."""
    early = {"ledger": str(tmp_path / "x.ledger"), "mutant": "answers before the commit"}
    voters = start(orders(make_campaign(2), people(1), **early))
    voters[0].process.wait(30)
    assert len(lost(tmp_path)) == 1
