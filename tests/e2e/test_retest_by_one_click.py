"""From two adapters, one click, votes of simulated people and of a person, to the report."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import PASSWORD

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]
PROMPTS = 3


def rendered(profile: str) -> Callable[[Any, Any], Any]:
    """What a generator of the demo world leaves: clips of a good or a bad one."""
    from demo.clip_files import write_clip
    from demo.worlds import FIRST, WORLDS, Asked
    from formats.files import sha256_of
    from formats.outcome import Outcome, Output, OutputKind
    from formats.records import GenerationRecord, PromptRecord, VideoRef

    def leave(run: Any, folder: Any) -> Any:
        kind, records = WORLDS[FIRST], []
        target = folder.outputs / "generations"
        (target / "clips").mkdir(parents=True)
        for number, prompt in enumerate(PromptRecord.read(folder.input("prompts"))):
            rng = np.random.default_rng([number, len(profile)])
            recipe = kind.recipe(rng, Asked(prompt.text), kind.generators[profile])
            frames, name = kind.render(recipe), f"clips/{number}.mp4"
            write_clip(target / name, frames, 8)
            video = VideoRef(
                f"{profile}-{number}", name, sha256_of(target / name), 8.0, len(frames),
                run.config["generator"], 0,
            )  # fmt: skip
            records.append(GenerationRecord(prompt.id, prompt.text, prompt.split, video))
        sha = GenerationRecord.write(target / "generations.jsonl", records)
        output = Output(OutputKind.GENERATIONS, "outputs/generations/generations.jsonl", sha)
        return Outcome(0, outputs=(output,))

    return leave


@pytest.fixture
def compared(transactional_db: None, mia: Any, settings: Any) -> Any:
    """A comparison of two adapters with clips on the same prompts; simulated people voted once."""
    from annotation.campaigns import ensure_built_in_sets
    from demo.worlds import FIRST, WORLDS
    from formats.records import PromptRecord
    from pipelines.models import Artifact, BaseModel, GroupKind, LoopGroup, Run
    from pipelines.starting import start_run
    from tests.pipelines.loop_world import base_models, play

    settings.TIEBREAK_DEMO = True
    ensure_built_in_sets()
    base_models()
    votes = Run.objects.create(
        kind="votes", config=simulated(), config_sha="", state="succeeded", created_by=mia
    )
    group = LoopGroup.objects.create(name="Two ways", kind=GroupKind.COMPARISON, created_by=mia)
    asked = WORLDS[FIRST].draw(PROMPTS, np.random.default_rng(7))
    prompts = [PromptRecord(f"p{n}", each.text, "test") for n, each in enumerate(asked)]
    for name, profile in (("Flow-DPO", "aurora"), ("GAPO", "drift")):
        trained = Run.objects.create(
            kind="alignment", name=name, config={"method": "flow_dpo"}, config_sha="",
            state="succeeded", group=group, queue="gpu", created_by=mia,
        )  # fmt: skip
        trained.inputs.create(role="pairs", producer=votes, producer_kind="votes")
        adapter = Artifact.objects.create(
            kind="adapter",
            run=trained,
            name=name,
            path=f"{trained.pk}/outputs/adapter",
            sha256=name,
        )
        inputs = {"generator": BaseModel.objects.get(name="tiny-wan"), "adapter": adapter}
        config = {"generator": f"tiny-wan + {name}", "clips_per_prompt": 1}
        run = start_run("generation", config, inputs, user=mia, files={"prompts": prompts})
        play(run, rendered(profile))
    return group


def simulated() -> dict[str, Any]:
    from django.contrib.auth.models import Group, User

    from annotation.permissions import ANNOTATOR, ensure_groups

    ensure_groups()
    people = []
    for number in range(3):
        user = User.objects.create_user(f"sim-{number}", password=PASSWORD)
        user.groups.add(Group.objects.get(name=ANNOTATOR))
        people.append({"user": user.username, "password": PASSWORD, "seed": number, "noise": 0.1})
    return {
        "url": "http://127.0.0.1:1", "campaign": "earlier", "annotators": people, "workers": 1,
        "patience_seconds": 2,
    }  # fmt: skip


def annotate(_run: Any, folder: Any) -> Any:
    """As a worker would: a process of its own that talks to the site."""
    subprocess.run(
        [sys.executable, "-I", "-m", "demo", "annotate", str(folder.root)],
        check=True, timeout=120, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    outcome = folder.outcome()
    folder.outcome_file.unlink()
    return outcome


def test_one_click_and_votes_lead_from_two_adapters_to_the_report(
    compared: Any,
    mia: Any,
    alice: Any,
    at_browser: Callable[..., Any],
    voting: Any,
    until: Any,
    no_barriers: Callable[[Any], None],
) -> None:
    from playwright.sync_api import expect

    from annotation.models import AuditEntry, Campaign, Slot
    from pipelines.models import Artifact, LoopGroup
    from tests.pipelines.loop_world import play

    page = at_browser(mia)
    page.goto(f"/comparisons/{compared.pk}/")
    adapters = Artifact.objects.filter(kind="adapter").order_by("pk")
    page.get_by_label("Candidate").select_option(str(adapters[0].pk))
    page.get_by_label("Against").select_option(str(adapters[1].pk))
    page.get_by_role("button", name="Let the simulated annotators judge").click()
    expect(page.locator("h1")).to_have_text("Flow-DPO against GAPO, by people")
    expect(page.locator("#retest")).to_contain_text("The campaign is not open yet.")
    group = LoopGroup.objects.get(kind="retest")
    assert list(group.runs.order_by("pk").values_list("kind", flat=True)) == [
        "retest", "votes", "human_test", "report",
    ]  # fmt: skip
    assert AuditEntry.objects.filter(act="retest.start").count() == 1

    play(group.runs.get(kind="retest"))
    expect(page.locator("#retest")).to_contain_text("0 of 6 votes, 6 missing")
    # A person judges one pair like everybody else, and reads nothing of who made the clips.
    campaign = Campaign.objects.get(kind="retest")
    seat = voting(at_browser(alice), campaign).open()
    prompt = seat.wait_for_pair()
    text = seat.page.content()
    assert not re.search(r"Flow-DPO|GAPO|tiny-wan|aurora|retest", text.replace("Tiebreak", ""))
    seat.press("1 1 1 Enter")
    seat.wait_for_pair(other_than=prompt)
    expect(page.locator("#retest")).to_contain_text("1 of 6 votes")

    seat.page.goto("/")  # what a browser has at hand goes back, so that others are given it
    until(page, lambda: not Slot.objects.filter(campaign=campaign, state="leased").exists())
    play(group.runs.get(kind="votes"), annotate)
    play(group.runs.get(kind="human_test"))
    play(group.runs.get(kind="report"))
    result = page.locator("#human-result")
    expect(result).to_have_text("Flow-DPO against GAPO: what people say")
    expect(page.locator("#retest")).to_contain_text("Simulated annotators of the demo voted")
    expect(page.locator(".human-table tbody tr")).to_have_count(4)
    no_barriers(page)
    page.goto("/retests/")
    no_barriers(page)
    page.go_back()
    page.get_by_role("link", name="Open the report").click()
    expect(page.locator("h1")).to_contain_text("Flow-DPO against GAPO, by people")
    about = page.get_by_role("heading", level=2, name="Flow-DPO against GAPO")
    expect(about).to_be_visible()
