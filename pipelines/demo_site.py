"""What `make run` shows: demo accounts, campaigns on the procedural world, and the loop on them.

Everything here may be done twice: it looks for what is there and adds what is missing, so that
`make run` goes on where it was stopped. The world, the simulated annotators and the tiny bases are
reached as processes (`python -m demo`); nothing of `demo` is imported.
"""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.utils import timezone

from annotation import media, permissions
from annotation.campaigns import create_campaign, ensure_built_in_sets, open_campaign
from annotation.importing import create_triplets
from annotation.models import Campaign, CampaignState, Generator, Prompt, Video
from annotation.probing import probe
from formats.files import read_jsonl
from formats.run_dir import RunDir
from pipelines.errors import PipelineError
from pipelines.loop import start_loop
from pipelines.models import ENDED, BaseModel, LoopGroup, Run, RunState
from pipelines.starting import sha_of, start_run

PASSWORD: Final = "tiebreak-demo"  # noqa: S105 - public, and only for the demo on loopback
PEOPLE: Final = {
    "annotator": permissions.ANNOTATOR,
    "annotator2": permissions.ANNOTATOR,
    "lead": permissions.LEAD,
    "engineer": permissions.ML_ENGINEER,
}
TRY: Final = "Try it yourself"
DEMO: Final = "Demo world"
_PRESETS: Final = Path(settings.BASE_DIR) / "demo" / "presets"
_BATCH: Final = 40
_NAMES: Final = {BaseModel.Role.VLM: "Tiny VLM", BaseModel.Role.GENERATOR: "Tiny generator"}
_IN_LOOP: Final = ("reward_model", "generation", "scoring", "alignment_flow_dpo", "alignment_gapo")

Say = Callable[[str], None]


def preset(name: str, seed: int = 0) -> dict[str, Any]:
    """The numbers of one size of the demo: the preset and the sections that it is made of.

    `seed` moves every seed but those of the base models: another world, other votes, another
    training, on the same bases.
    """
    path = _PRESETS / f"{name}.json"
    if not path.exists():
        raise PipelineError(f"there is no preset {name!r}; expected a file {path}")
    values: dict[str, Any] = json.loads(path.read_text())
    for part in ("pretrain_vlm", "pretrain_generator", *_IN_LOOP):
        values[part] = json.loads((_PRESETS / f"{part}.{name}.json").read_text())
    moved = {key: _moved(value, 1000 * seed) for key, value in values.items()}
    bases = {key: values[key] for key in ("pretrain_vlm", "pretrain_generator")}
    return {**moved, **bases, "name": DEMO if seed == 0 else f"{DEMO}, seed {seed}"}


def _moved(value: Any, by: int) -> Any:
    """The same values with `by` added to each seed."""
    if isinstance(value, dict):
        return {
            key: each + by if key == "seed" else _moved(each, by) for key, each in value.items()
        }
    return value


def prepare(values: Mapping[str, Any]) -> None:
    """Accounts, and a first campaign that a person can vote on at once."""
    ensure_built_in_sets()
    permissions.ensure_groups()
    for name, group in PEOPLE.items():
        _account(name, group, staff=group != permissions.ANNOTATOR)
    for name in _simulated(values):
        _account(name, permissions.ANNOTATOR, staff=False)
    if not Campaign.objects.filter(name=TRY, state=CampaignState.OPEN).exists():
        _campaign(TRY, values["try"])


def fill(values: Mapping[str, Any], site: str, say: Say) -> LoopGroup:
    """The campaign of the loop, and the loop itself."""
    name = values["name"]
    campaign = Campaign.objects.filter(name=name).first()
    if campaign is None or campaign.state == CampaignState.DRAFT:
        say("rendering the clips of the demo world …")
        campaign = _campaign(name, values["world"])
        say(f"the campaign {name!r} is open with {campaign.triplets.count()} triplets")
    group = LoopGroup.objects.filter(campaign=campaign).first()
    return group or _start_loop(campaign, values, site)


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


# The world.


def _campaign(name: str, world: Mapping[str, Any]) -> Campaign:
    """A campaign on freshly rendered clips; opened when all of them are there."""
    campaign = Campaign.objects.filter(name=name).first() or create_campaign(
        name,
        "videoalign",
        votes_wanted=world["votes_wanted"],
        created_by=User.objects.get(username="lead"),
        instructions="Compare the two clips on each dimension. Same is an answer.",
    )
    folder = _render(world["render"])
    rows = [row for _, row in read_jsonl(folder / "pairs.jsonl", "world-pairs/1")]
    videos = _store(folder, rows)
    create_triplets(
        campaign,
        [(videos[row["a"]].prompt, videos[row["a"]], videos[row["b"]]) for row in rows],
    )
    open_campaign(campaign)
    return campaign


def _store(folder: Path, rows: list[dict[str, Any]]) -> dict[str, Video]:
    """The clips of these pairs as Video rows, by file name. Decoding and hashing run in threads."""
    sides = {
        row[side]: (row["prompt"], row[f"generator_{side}"]) for row in rows for side in ("a", "b")
    }

    def keep(name: str) -> media.KeptClip:
        return media.keep_clip(folder / name, probe(folder / name), ours=True)

    with ThreadPoolExecutor(4) as pool:
        kept = dict(zip(sides, pool.map(keep, sides), strict=True))
    prompts = {
        text: Prompt.objects.for_text(text)
        for text in dict.fromkeys(text for text, _ in sides.values())
    }
    generators = {
        name: Generator.objects.get_or_create(name=name)[0]
        for name in dict.fromkeys(name for _, name in sides.values())
    }
    videos = {}
    names = list(sides)
    for start in range(0, len(names), _BATCH):
        # Short transactions: on SQLite a person who votes meanwhile waits for each.
        with transaction.atomic():
            for name in names[start : start + _BATCH]:
                text, generator = sides[name]
                videos[name] = media.register_clip(
                    kept[name], prompt=prompts[text], generator=generators[generator]
                )
    return videos


def _render(config: Mapping[str, Any]) -> Path:
    """Render clips in a child process, or take those of the last time."""
    root = settings.VAR / "world" / sha_of(config)[:16]
    folder = RunDir(root)
    outcome = folder.outcome()
    if outcome is None or outcome.exit_code != 0:
        folder.prepare(config, {})
        environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1"}
        ended = subprocess.run(
            [sys.executable, "-I", "-m", "demo", "render", str(root)],
            cwd=root, env=environment, capture_output=True, text=True,
        )  # fmt: skip
        if ended.returncode != 0:
            raise PipelineError(f"the demo world could not be rendered: {ended.stderr[-500:]}")
    return folder.outputs


# The loop.


def _start_loop(campaign: Campaign, values: Mapping[str, Any], site: str) -> LoopGroup:
    engineer = User.objects.get(username="engineer")
    bases = {
        "backbone": _base_model(BaseModel.Role.VLM, values["pretrain_vlm"], engineer),
        "generator": _base_model(BaseModel.Role.GENERATOR, values["pretrain_generator"], engineer),
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
        "alignments": {
            "Flow-DPO": values["alignment_flow_dpo"],
            "GAPO": values["alignment_gapo"],
        },
    }
    return start_loop(campaign, config, engineer, nonce=f"demo {campaign.pk}")


def _base_model(
    role: BaseModel.Role, config: Mapping[str, Any], user: User
) -> str | dict[str, int]:
    """The base model that this config has left before, or the run that will leave it."""
    run = start_run("pretrain", config, user=user, name=_NAMES[role], nonce=sha_of(config)[:40])
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
