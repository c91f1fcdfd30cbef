# ruff: noqa: E402 - Django is set up before its models are imported
"""Fill an empty database (DATABASE_URL) with an old site, bring it to this version, ask about it.

    python tests/upgrades/forward.py tests/upgrades/first.json.gz

Prints what it found as JSON. A process of its own: the tests' database is of this version already.
"""

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import django

django.setup()

from django.apps.registry import Apps
from django.core.management import call_command
from django.core.management.color import no_style
from django.core.serializers.python import Deserializer
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.test import Client


class OldRows(Deserializer):
    """Rows of the models as they were at those migrations."""

    apps: Apps

    @classmethod
    def _get_model_from_node(cls, identifier: str) -> Any:  # type: ignore[override]
        return cls.apps.get_model(identifier)


def fill(site: dict[str, Any]) -> None:
    """The tables as they were, with the rows as they were."""
    executor = MigrationExecutor(connection)
    ours = list(site["migrations"].items())
    graph = executor.loader.graph
    others = [
        key for key in graph.leaf_nodes() if key[0] in {"auth", "contenttypes", "admin", "axes"}
    ]
    executor.migrate([*others, *ours])
    OldRows.apps = MigrationExecutor(connection).loader.project_state([*others, *ours]).apps
    with transaction.atomic():
        for row in OldRows(site["rows"]):
            row.save()
    models = [OldRows.apps.get_model(name) for name in {row["model"] for row in site["rows"]}]
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), models):
            cursor.execute(statement)


def counts() -> dict[str, int]:
    from annotation.models import Consensus, Judgement, Slot, Triplet, Video, Vote
    from pipelines.models import Artifact, Run, RunEvent

    models = (Vote, Judgement, Slot, Triplet, Video, Consensus, Run, RunEvent, Artifact)
    return {model._meta.label_lower: model.objects.count() for model in models}


def questions() -> dict[str, Any]:
    from annotation.models import Campaign
    from annotation.promises import broken_promises
    from pipelines.models import Run

    campaign = Campaign.objects.get()
    return {
        "counts": counts(),
        "broken": broken_promises(campaign),
        "runs": sorted(Run.objects.values_list("state", flat=True)),
        "runs page": page_of("mia", "/api/runs"),
        "vote": vote_of("cho", campaign.pk),
        "broken afterwards": broken_promises(campaign),
        "snapshot": snapshot_of(campaign.pk),
    }


def browser_of(name: str) -> Client:
    from django.contrib.auth.models import User

    browser = Client()
    browser.force_login(User.objects.get(username=name))
    return browser


def page_of(name: str, path: str) -> int:
    return browser_of(name).get(path).status_code


def vote_of(name: str, campaign: int) -> str:
    """Somebody who voted in the old version goes on."""
    browser = browser_of(name)
    asked = {"tab": "00000000-0000-4000-8000-000000000001"}
    kind = {"content_type": "application/json"}
    given = browser.post(f"/api/campaigns/{campaign}/next", asked, **kind).json()
    said = {each["key"]: {"label": "left"} for each in given["dimensions"]}
    body = {
        "lease": given["lease"], "left_video": given["left"]["id"],
        "right_video": given["right"]["id"], "judgements": said, "timing": {"active_ms": 5000},
    }  # fmt: skip
    answer = browser.post("/api/votes", body, headers={"Idempotency-Key": given["lease"]}, **kind)
    return str(answer.json()["state"])


def snapshot_of(campaign: int) -> int:
    """How many pairs a snapshot of the old votes has."""
    from annotation.models import Campaign
    from pipelines.snapshots import take
    from pipelines.splitting import Split

    return len(take(Campaign.objects.get(pk=campaign), Split()).records)


def main() -> None:
    site = json.loads(gzip.decompress(Path(sys.argv[1]).read_bytes()))
    fill(site)
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())
    call_command("migrate", verbosity=0)  # what follows each migration: groups, guards
    print(json.dumps(questions()))


if __name__ == "__main__":
    main()
