"""One annotator as a process, for the races: reads orders from stdin, speaks JSON lines.

The orders: {"campaign", "user", "seed", "late", "abandon", "patience", "ledger", "mutant"}, or
{"token", "seed", "vote"} for one vote. It says "ready", waits for a line, and begins. Every
acknowledged vote goes to the ledger, fsynced, before anything else happens.
"""

import json
import os
import random
import signal
import sys
import time
import uuid


def main() -> None:
    import django

    orders = json.loads(sys.stdin.readline())
    if orders.get("mutant") == "deferred":
        from django.conf import settings

        settings.DATABASES["default"]["OPTIONS"]["transaction_mode"] = "DEFERRED"
    django.setup()
    _mutate(orders.get("mutant"))
    print("ready", flush=True)
    sys.stdin.readline()
    report = double(orders) if "token" in orders else walk(orders)
    print(json.dumps(report), flush=True)


def _mutate(mutant: str | None) -> None:
    from django.db.models import QuerySet

    from annotation import assigning, queue, statements, tally, voting

    if mutant == "no locks":
        QuerySet.select_for_update = lambda self, **_: self  # type: ignore[method-assign]
        for module in (queue, statements, tally):
            module.locking = lambda _clause: ""
        pick = assigning.next_place

        def slowly(*args, **kwargs):
            slot = pick(*args, **kwargs)
            time.sleep(0.02)
            return slot

        assigning.next_place = slowly
    if mutant == "no replay":
        voting._replay = lambda *_: None
    if mutant == "answers before the commit":
        store = voting._store

        def and_die(*args):
            store(*args)
            acknowledge(LEDGER, str(args[0].pk))
            os.kill(os.getpid(), signal.SIGKILL)

        voting._store = and_die


LEDGER = os.environ.get("LEDGER", "")


def acknowledge(ledger: str, vote: str) -> None:
    if not ledger:
        return
    with open(ledger, "a") as file:  # noqa: PTH123
        file.write(vote + "\n")
        file.flush()
        os.fsync(file.fileno())


def walk(orders: dict) -> dict:
    """Claim and vote until the campaign has nothing for this person."""
    from django.db import DatabaseError

    from annotation.errors import VoteConflict

    orders["chance"], orders["tab"] = random.Random(orders["seed"]), uuid.uuid4()
    report: dict = {"votes": 0, "surplus": 0, "empty": 0, "faults": []}
    while report["empty"] < 3 and len(report["faults"]) < 50:
        try:
            receipt = step(orders, report)
        except (VoteConflict, DatabaseError) as error:
            report["faults"].append(f"{type(error).__name__}: {error}")
            continue
        if receipt is not None:
            acknowledge(orders.get("ledger", ""), str(receipt.vote))
            report["votes"] += 1
            report["surplus"] += receipt.state == "surplus"
    return report


def step(orders: dict, report: dict):
    """One pair: voted on, given up, or voted on too late."""
    from django.contrib.auth.models import User

    from annotation.assigning import Assignment, claim
    from annotation.models import Campaign
    from annotation.voting import cast_vote

    chance, user = orders["chance"], User(pk=orders["user"])
    campaign = Campaign.objects.get(pk=orders["campaign"])
    given = claim(campaign, user, orders["tab"], prefetch=chance.random() < 0.2)
    if not isinstance(given, Assignment):
        report["empty"] += 1
        time.sleep(orders.get("patience", 0.1))
        return None
    report["empty"] = 0
    if chance.random() < orders.get("abandon", 0):
        orders["tab"] = uuid.uuid4()  # as if the browser had died
        return None
    if chance.random() < orders.get("late", 0):
        time.sleep(orders["patience"] * 2)
    said = ballot(campaign, (given.left.pk, given.right.pk), chance)
    return cast_vote(given.token, user, said)


def ballot(campaign, shown: tuple, chance: random.Random):
    from annotation.models import Dimension
    from annotation.voting import Answer, Ballot

    dimensions = Dimension.objects.filter(dimension_set=campaign.dimension_set_id)
    return Ballot(
        left_video=str(shown[0]),
        right_video=str(shown[1]),
        answers={each.key: Answer(chance.choice(["left", "right", "tie"])) for each in dimensions},
    )


def double(orders: dict) -> dict:
    """Send the same vote as another process does at this moment."""
    from django.contrib.auth.models import User

    from annotation.errors import VoteConflict
    from annotation.models import Lease
    from annotation.voting import cast_vote, revise_vote

    lease = Lease.objects.select_related("triplet__campaign").get(pk=orders["token"])
    shown = (lease.left_id, lease.right_id)
    said = ballot(lease.triplet.campaign, shown, random.Random(orders["seed"]))
    user = User(pk=lease.annotator_id)
    try:
        if "vote" in orders:
            receipt = revise_vote(uuid.UUID(orders["vote"]), user, 1, said)
        else:
            receipt = cast_vote(lease.token, user, said)
    except VoteConflict:
        return {"vote": None, "replay": False}
    return {"vote": str(receipt.vote), "replay": receipt.replay}


if __name__ == "__main__":
    main()
