"""Clips of a base and a candidate, and people who vote on them in this process."""

import uuid
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from formats.files import sha256_of
from formats.outcome import Outcome, Output, OutputKind
from formats.records import GenerationRecord, PromptRecord, VideoRef
from formats.run_dir import RunDir
from tests.pipelines.loop_world import base_models, number_of, play, remembered, write_clip

KEYS = ("VQ", "MQ", "TA")
Opinion = Callable[[str, str], str]  # of prompt and dimension: win, tie, loss or invalid


@remembered()
def clip_set(
    user: Any,
    name: str,
    prompts: int = 4,
    *,
    adapter: Any = None,
    like: tuple[str, set[str]] = ("", set()),
) -> Any:
    """The artifact of clips that one generator made for `prompts` prompts.

    `like`: the name of another generator, and the prompts on which this one makes the same clips.
    """
    from pipelines.models import Artifact, BaseModel
    from pipelines.starting import start_run

    base_models()
    asked = [PromptRecord(f"p{n}", f"prompt {n}", "test") for n in range(prompts)]
    inputs: dict[str, Any] = {"generator": BaseModel.objects.get(name="tiny-wan")}
    if adapter is not None:
        inputs["adapter"] = adapter
    config = {"generator": name, "clips_per_prompt": 1}
    run = start_run("generation", config, inputs, user=user, files={"prompts": asked})
    return Artifact.objects.get(run=play(run, partial(_leave, like)))


def _leave(like: tuple[str, set[str]], run: Any, folder: RunDir) -> Outcome:
    target, records = folder.outputs / "generations", []
    for prompt in PromptRecord.read(folder.input("prompts")):
        name = run.config["generator"]
        shade = number_of(like[0] if prompt.text in like[1] else name, prompt.text)
        clip = write_clip(target / f"clips/{prompt.id}.mp4", shade)
        video = VideoRef(
            f"{name}/{prompt.id}", f"clips/{prompt.id}.mp4", sha256_of(clip), 8.0, 4, name, 0
        )
        records.append(GenerationRecord(prompt.id, prompt.text, prompt.split, video))
    sha = GenerationRecord.write(target / "generations.jsonl", records)
    output = Output(OutputKind.GENERATIONS, "outputs/generations/generations.jsonl", sha)
    return Outcome(0, outputs=(output,))


def shas(clips: Any) -> set[str]:
    from pipelines.registry import path_of

    return {row.video.sha256 for row in GenerationRecord.read(path_of(clips))}


def opened(user: Any, **config: Any) -> tuple[Any, Any, Any]:
    """A started re-test of two sets whose campaign is open; group, campaign, candidate's clips."""
    from annotation.campaigns import ensure_built_in_sets
    from annotation.models import Campaign
    from pipelines.retests.starting import start_retest

    ensure_built_in_sets()
    base = clip_set(user, "old-model-1B", config.pop("prompts", 4))
    clips = config.pop("clips", None) or clip_set(user, "new-model-7B", 4)
    group = start_retest(config, {"base": base, "candidate": clips}, user)
    run = play(group.runs.get(kind="retest"))
    return group, Campaign.objects.get(made_by=f"run {run.pk}"), clips


def vote(user: Any, campaign: Any, candidate: set[str], opinion: Opinion, most: int = 10**6) -> int:
    """Let one person judge up to `most` pairs that they are given; how many it were."""
    from annotation.assigning import claim
    from annotation.ballots import Answer, Ballot
    from annotation.offers import Assignment
    from annotation.voting import cast_vote

    for count in range(most):
        given = claim(campaign, user, uuid.uuid5(uuid.NAMESPACE_URL, user.username))
        if not isinstance(given, Assignment):
            return count
        left_is_new = given.left.sha256 in candidate
        words = {
            "win": "left" if left_is_new else "right",
            "loss": "right" if left_is_new else "left",
            "tie": "tie",
            "invalid": "invalid",
        }
        answers = {}
        for key in KEYS:
            word = words[opinion(given.prompt.text, key)]
            answers[key] = Answer(word, reason="broken" if word == "invalid" else "")
        cast_vote(given.token, user, Ballot(str(given.left.pk), str(given.right.pk), answers))
    return most


def always(word: str) -> Opinion:
    return lambda _prompt, _key: word


def people(count: int) -> Iterable[Any]:
    from django.contrib.auth.models import Group, User

    from annotation.permissions import ANNOTATOR, ensure_groups

    ensure_groups()
    for number in range(count):
        user, _ = User.objects.get_or_create(username=f"person-{number}")
        user.groups.add(Group.objects.get(name=ANNOTATOR))
        yield user
