"""What the benchmark of annotation does to the database, each in a process of its own.

    python -m bench.annotation_jobs JOB < orders.json      one JSON object in, one out

DATABASE_URL names the database.
"""

import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations, islice
from pathlib import Path
from typing import Any, Final

PASSWORD: Final = "a long password for the benchmark"  # noqa: S105  of nobody
GENERATORS: Final = 12
PAIRS_PER_PROMPT: Final = 20  # 182,000 pairs are then 9,100 prompts and 109,200 clips


def make_people(orders: Mapping[str, Any]) -> dict[str, Any]:
    """Annotators who can log in."""
    from django.contrib.auth.hashers import make_password
    from django.contrib.auth.models import Group, User

    from annotation.campaigns import ensure_built_in_sets
    from annotation.permissions import ensure_groups

    ensure_groups()
    ensure_built_in_sets()
    password = make_password(PASSWORD)
    users = User.objects.bulk_create(
        User(username=f"annotator{number}", password=password) for number in range(orders["count"])
    )
    Group.objects.get(name="annotator").user_set.add(*users)
    return {"people": [{"user": each.username, "password": PASSWORD} for each in users]}


def import_pairs(orders: Mapping[str, Any]) -> dict[str, Any]:
    """An open campaign from a CSV file that names clips which are here; how long it took.

    `clips_seconds` is for the rows of prompts and clips, `seconds` for them and the file.
    """
    from annotation.campaigns import open_campaign
    from annotation.imports.reading_in import Target, import_rows
    from annotation.imports.sources import table_with_clips
    from annotation.models import Campaign

    started = time.perf_counter()
    pairs = list(islice(_pairs(orders["name"], orders["pairs"]), orders["pairs"]))
    clips = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pairs.csv"
        file.write_text("video_A,video_B\n" + "".join(f"{a.pk},{b.pk}\n" for a, b in pairs))
        written = time.perf_counter()
        target = Target(orders["name"], options={"votes_wanted": 3})
        report = import_rows(table_with_clips(file), target)
    done = time.perf_counter()
    campaign = Campaign.objects.get(pk=report.campaign_id)
    open_campaign(campaign)
    return {
        "campaign": campaign.pk,
        "pairs": report.triplets,
        "clips_seconds": clips - started,
        "file_seconds": done - written,
        "seconds": done - written + clips - started,
    }


def _pairs(name: str, count: int) -> Iterable[tuple[Any, Any]]:
    """Some of all pairs of generators, for each prompt others."""
    from annotation.models import Generator, Prompt, Video, prompt_sha256

    makers = [Generator.objects.get_or_create(name=f"generator {n}")[0] for n in range(GENERATORS)]
    texts = [f"{name}: a scene, number {n}" for n in range(-(-count // PAIRS_PER_PROMPT))]
    prompts = Prompt.objects.bulk_create(
        (Prompt(text=text, sha256=prompt_sha256(text)) for text in texts), batch_size=2000
    )
    clips = Video.objects.bulk_create(
        (_clip(prompt, maker) for prompt in prompts for maker in makers), batch_size=2000
    )
    chance = random.Random(0)
    of_two = list(combinations(range(GENERATORS), 2))
    for number in range(len(prompts)):
        own = clips[number * GENERATORS :][:GENERATORS]
        for a, b in chance.sample(of_two, PAIRS_PER_PROMPT):
            yield own[a], own[b]


def _clip(prompt: Any, maker: Any) -> Any:
    from annotation.models import Video

    return Video(
        prompt=prompt,
        generator=maker,
        file=f"videos/{prompt.pk}-{maker.pk}.mp4",
        sha256=f"{prompt.pk:032x}{maker.pk:032x}",
        original_path=f"{maker.name}/{prompt.pk}.mp4",
        fps=24,
        num_frames=121,
        width=1280,
        height=720,
        duration=121 / 24,
    )


def audit(orders: Mapping[str, Any]) -> dict[str, Any]:
    """Votes against the ledgers of those who cast them."""
    from django.db.models import Count, F, Q

    from annotation.models import Campaign, ProbeAnswer, Triplet, Vote
    from annotation.promises import broken_promises

    acknowledged = [line for path in orders["ledgers"] for line in _lines(path)]
    stored = {str(pk) for pk in Vote.objects.values_list("pk", flat=True)}
    stored |= {str(pk) for pk in ProbeAnswer.objects.values_list("pk", flat=True)}
    counted = Count("votes", filter=Q(votes__state="counted"))
    over = Triplet.objects.annotate(counted=counted).filter(counted__gt=F("need"))
    twice = Vote.objects.live().values("triplet", "annotator").annotate(n=Count("pk"))
    leases = Vote.objects.filter(revision=1).values("lease").annotate(n=Count("pk"))
    return {
        "acknowledged": len(acknowledged),
        "lost": len({line.split()[2] for line in acknowledged} - stored),
        "over_assigned": over.count(),
        "duplicated": twice.filter(n__gt=1).count() + leases.filter(n__gt=1).count(),
        "surplus": Vote.objects.filter(state="surplus").count(),
        "complete": Triplet.objects.complete().count(),
        "broken_promises": [
            each
            for campaign in Campaign.objects.filter(pk__in=orders["campaigns"])
            for each in broken_promises(campaign)
        ][:20],
    }


def _lines(path: str) -> Sequence[str]:
    # A client that was killed while writing leaves half a line: that was not acknowledged.
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def panels(orders: Mapping[str, Any]) -> dict[str, Any]:
    """One panel of the dashboard in this fresh process: nothing was computed before."""
    from annotation.dashboards import PANELS
    from annotation.models import Campaign
    from annotation.quality.standings import standings

    campaign = Campaign.objects.select_related("dimension_set").get(pk=orders["campaign"])
    known: dict[str, Callable[[Campaign], object]] = {**PANELS, "standings": standings}
    if "panel" not in orders:
        return {"panels": list(known)}
    _forget()
    started = time.perf_counter()
    known[orders["panel"]](campaign)
    return {"panel": orders["panel"], "seconds": time.perf_counter() - started}


def _forget() -> None:
    from django.core.cache import cache

    cache.clear()


def fill(orders: Mapping[str, Any]) -> dict[str, Any]:
    """A campaign with all its votes, written past the doors."""
    from django.db import connection

    from bench import annotation_data

    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")  # that of the site is for people who wait
    started = time.perf_counter()
    plan = annotation_data.Plan("figures", orders["pairs"], annotators=orders["people"])
    campaign = annotation_data.fill(plan)
    votes = sum(campaign.cursors.values_list("votes", flat=True))
    return {"campaign": campaign.pk, "votes": votes, "seconds": time.perf_counter() - started}


JOBS: Final[dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]]] = {
    "people": make_people,
    "import": import_pairs,
    "audit": audit,
    "fill": fill,
    "panels": panels,
}


def main() -> None:
    import django

    django.setup()
    print(json.dumps(JOBS[sys.argv[1]](json.load(sys.stdin))))


if __name__ == "__main__":
    main()
