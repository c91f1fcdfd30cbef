"""What `make run` shows: demo accounts, campaigns on the procedural world, and the loop on them.

Everything here may be done twice: it looks for what is there and adds what is missing, so that
`make run` goes on where it was stopped. The world, the simulated annotators and the tiny bases are
reached as processes (`python -m demo`); nothing of `demo` is imported.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, User
from django.utils import timezone

from annotation import permissions
from annotation.campaigns import ensure_built_in_sets
from annotation.models import Campaign, CampaignState
from formats.run_dir import RunDir
from pipelines.loops.chain import start_loop
from pipelines.loops.demo_presets import preset as preset
from pipelines.loops.demo_world import open_world
from pipelines.models import ENDED, BaseModel, LoopGroup, Run, RunState, Suite
from pipelines.prompt_choice import Prompts, chosen_prompts
from pipelines.splitting import TEST, Split
from pipelines.starting import sha_of, start_run
from pipelines.suites.scoring import checked_way
from pipelines.suites.shelf import set_scoring, suite_of_prompts

PASSWORD: Final = "tiebreak-demo"  # noqa: S105 - public, and only for the demo on loopback
PEOPLE: Final = {
    "annotator": permissions.ANNOTATOR,
    "annotator2": permissions.ANNOTATOR,
    "lead": permissions.LEAD,
    "engineer": permissions.ML_ENGINEER,
}
TRY: Final = "Try it yourself"

Say = Callable[[str], None]


def prepare(values: Mapping[str, Any]) -> None:
    """Accounts, and a first campaign that a person can vote on at once."""
    ensure_built_in_sets()
    permissions.ensure_groups()
    for name, group in PEOPLE.items():
        _account(name, group, staff=group != permissions.ANNOTATOR)
    for name in _simulated(values):
        _account(name, permissions.ANNOTATOR, staff=False)
    name = values["try"].get("name", TRY)
    if not Campaign.objects.filter(name=name, state=CampaignState.OPEN).exists():
        open_world(name, values, values["try"])


def fill(values: Mapping[str, Any], site: str, say: Say) -> LoopGroup:
    """The campaign of the loop, and the loop itself."""
    name = values["name"]
    campaign = Campaign.objects.filter(name=name).first()
    if campaign is None or campaign.state == CampaignState.DRAFT:
        say(f"rendering the clips of {name!r} …")
        campaign = open_world(name, values, values["world"])
        say(f"the campaign {name!r} is open with {campaign.triplets.count()} triplets")
    fill_suite(campaign, values)
    group = LoopGroup.objects.filter(campaign=campaign).first()
    return group or _start_loop(campaign, values, site)


def fill_suite(campaign: Campaign, values: Mapping[str, Any]) -> Suite:
    """The held-out prompts of the world as a suite; the truth judges there, and whoever is named.

    They are those that no loop of the demo trains on, with the settings its test clips have.
    """
    held_out = Prompts(split=TEST, limit=values["loop"]["prompts_eval"].get("limit", 0))
    split = Split.from_json(values["loop"].get("snapshot", {}).get("split", {}))
    if Suite.objects.filter(name=campaign.name).exists():
        return Suite.objects.get(name=campaign.name)
    prompts = chosen_prompts(held_out, campaign, split)
    suite = suite_of_prompts(campaign.name, prompts, title=f"{campaign.name}: held-out prompts")
    way = {
        "generation": {**values["generation"], **values["loop"].get("generation_eval", {})},
        "scoring": values["scoring"],
        "truth": values["loop"].get("truth_eval"),
    }
    return set_scoring(suite, checked_way(way, []), [])


def changes(seen: dict[int, str]) -> Iterator[str]:
    """One line for each run whose state has changed since the last look."""
    for run in Run.objects.order_by("pk").defer("config", "summary"):
        before, seen[run.pk] = seen.get(run.pk), run.state
        if before is None and run.state in (RunState.QUEUED, *ENDED):
            continue  # What waits, or ended before we looked, is no news.
        if before != run.state and run.state not in (RunState.STARTING, RunState.COMMITTING):
            yield _line(run)


def _line(run: Run) -> str:
    text = f"{run.name or run.kind}: {run.state}"
    if run.state == RunState.SUCCEEDED and run.started_at and run.finished_at:
        text += f" after {(run.finished_at - run.started_at).total_seconds():.0f} s"
    if run.state == RunState.QUEUED and run.not_before and run.not_before > timezone.now():
        text += f", next try in {(run.not_before - timezone.now()).total_seconds():.0f} s"
    return text + (f" ({run.message.splitlines()[-1]})" if run.message else "")


def has_ended(group: LoopGroup) -> bool:
    """Whether the loop has come to its end, well or badly."""
    runs = Run.objects.filter(group=group)
    return runs.exists() and not runs.exclude(state__in=ENDED).exists()


# Accounts.


def _account(name: str, group: str, *, staff: bool) -> User:
    users = get_user_model().objects
    user = users.filter(username=name).first()
    if user is None:
        user = users.create_user(name, password=PASSWORD, is_staff=staff)
    user.groups.add(Group.objects.get(name=group))
    return user


def _simulated(values: Mapping[str, Any]) -> list[str]:
    return [f"sim-{number + 1:02}" for number in range(values["annotators"]["count"])]


# The loop.


def _start_loop(campaign: Campaign, values: Mapping[str, Any], site: str) -> LoopGroup:
    engineer = User.objects.get(username="engineer")
    bases = {
        "backbone": _base_model("pretrain_vlm", values, engineer),
        "generator": _base_model("pretrain_generator", values, engineer),
    }
    recipes = RunDir(settings.VAR / "world" / sha_of(values["world"]["render"])[:16]).outputs
    config = {
        **values["loop"],
        **bases,
        "votes": {
            **values["votes"],
            "url": site,
            "recipes": str(recipes / "recipes.jsonl"),
            "annotators": _annotators(values),
        },
        "reward_model": values["reward_model"],
        # The truth is known here, so the report can say what a perfect judge would reach.
        "report": {"recipes": str(recipes / "recipes.jsonl")},
        "generation_pairs": {**values["generation"], **values["loop"].get("generation_pairs", {})},
        "generation_eval": {**values["generation"], **values["loop"].get("generation_eval", {})},
        "scoring_pairs": values["scoring"],
        "scoring_eval": values["scoring"],
        "alignments": {name: values[part] for name, part in values["alignments"].items()},
    }
    return start_loop(campaign, config, engineer, nonce=f"demo {campaign.pk}")


def _base_model(part: str, values: Mapping[str, Any], user: User) -> str | dict[str, int]:
    """The base model that this config has left before, or the run that will leave it."""
    config, name = values[part], values["bases"][part]
    run = start_run("pretrain", config, user=user, name=name, nonce=sha_of(config)[:40])
    found = BaseModel.objects.filter(artifact__run=run).first()
    return found.name if found else {"run": run.pk}


def _annotators(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """People as they come: each has an own noise, tie threshold and side bias."""
    wanted = values["annotators"]
    chance = random.Random(wanted["seed"])
    names = _simulated(values)
    return [
        {
            "user": name,
            "password": PASSWORD,
            "seed": wanted["seed"] + number,
            "noise": chance.uniform(*wanted["noise"]),
            "tie": chance.uniform(*wanted["tie"]),
            "side_bias": chance.gauss(0, wanted["side_bias"]),
            "careless": number >= len(names) - wanted["careless"],
        }
        for number, name in enumerate(names)
    ]
