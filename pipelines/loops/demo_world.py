"""Clips of a procedural world as a campaign: rendered by a child, stored, shown in pairs."""

import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from annotation.campaigns import create_campaign, open_campaign
from annotation.importing import create_triplets
from annotation.media import keeping as media
from annotation.media.probing import probe
from annotation.models import Campaign, Generator, Prompt, Video
from formats.files import read_jsonl
from formats.run_dir import RunDir
from pipelines.errors import PipelineError
from pipelines.starting import sha_of

_BATCH: Final = 40


def open_world(name: str, values: Mapping[str, Any], world: Mapping[str, Any]) -> Campaign:
    """A campaign on freshly rendered clips; opened when all of them are there. `world`: a section
    of the preset `values`, which says how many clips."""
    campaign = Campaign.objects.filter(name=name).first() or create_campaign(
        name,
        values["dimensions"],
        votes_wanted=world["votes_wanted"],
        created_by=User.objects.get(username="lead"),
        instructions=values["instructions"],
    )
    folder = rendered(world["render"])
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
        row[side]: ((row["prompt"], row.get("image", "")), row[f"generator_{side}"])
        for row in rows
        for side in ("a", "b")
    }

    def keep(name: str) -> media.KeptClip:
        return media.keep_clip(folder / name, probe(folder / name), ours=True)

    with ThreadPoolExecutor(4) as pool:
        kept = dict(zip(sides, pool.map(keep, sides), strict=True))
    prompts = {
        prompt: _prompt(folder, *prompt)
        for prompt in dict.fromkeys(prompt for prompt, _ in sides.values())
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
                prompt, generator = sides[name]
                videos[name] = media.register_clip(
                    kept[name], prompt=prompts[prompt], generator=generators[generator]
                )
    return videos


def _prompt(folder: Path, text: str, image: str) -> Prompt:
    """The row of a prompt; `image` is the file of its start image, if it has one."""
    start = media.store_reference_image(folder / image) if image else None
    return Prompt.objects.for_text(text, start)


def rendered(config: Mapping[str, Any]) -> Path:
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
