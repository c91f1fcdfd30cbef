"""An ML engineer starts runs from the admin and watches them finish, on six real clips.

The import of the VideoAlign CSV, the snapshot and the tiny reward model go the way that any lab's
data goes: the admin, a worker of its own, the run page.
"""

import csv
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from annotation.models import Campaign, Consensus, Triplet
from pipelines.loops import demo_site
from pipelines.models import BaseModel, Run, RunState
from pipelines.starting import start_run
from tests.conftest import PASSWORD
from tests.loop.conftest import wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.e2e,
    pytest.mark.shared,
    pytest.mark.timeout(400),
    pytest.mark.xdist_group("loop"),
]

SECONDS = 180
REAL = "Real clips"


@pytest.fixture
def real_campaign(shared: Path, transactional_db: None) -> Campaign:
    call_command("import_triplets", shared / "data/videoalign/example.csv", campaign=REAL)
    return Campaign.objects.get(name=REAL)


def log_in(page: Any, site: str, name: str) -> None:
    page.goto(f"{site}/accounts/login/")
    page.fill("input[name=username]", name)
    page.fill("input[name=password]", PASSWORD)
    page.click("main button[type=submit]")
    page.wait_for_url(f"{site}/")


def start_from_the_admin(
    page: Any, site: str, kind: str, config: dict[str, Any], **roles: str
) -> Run:
    """Fill in the form as a person does; give the run whose page it leads to."""
    page.goto(f"{site}/admin/pipelines/run/add/?kind={kind}")
    page.fill("textarea[name=config]", json.dumps(config))
    for role, label in roles.items():
        options = page.locator(f"select[name={role}] option").all_text_contents()
        found = next(text for text in options if label in text)
        page.select_option(f"select[name={role}]", label=found)
    page.click("input[type=submit]")
    page.wait_for_url(re.compile(r"/runs/\d+/"))
    return Run.objects.latest("pk")


def watch_it_finish(page: Any, log: Path) -> None:
    """The page says by itself, without a reload, that the run has succeeded."""
    state = page.locator("[data-field=state]")

    def ended() -> bool:
        text = state.text_content().strip().lower()
        assert text not in {"failed", "cancelled"}, page.locator("main").text_content()
        return "succeeded" in text

    def explain() -> str:
        return f"{state.text_content()} {log.read_text()[-2000:] if log.exists() else ''}"

    deadline = time.monotonic() + SECONDS
    while not ended():
        assert time.monotonic() < deadline, explain()
        page.wait_for_timeout(300)


@pytest.fixture
def tiny_backbone(worker: Callable[..., Any], mia: Any, tmp_path: Path) -> BaseModel:
    config = demo_site.preset("micro")["pretrain_vlm"]
    run = start_run("pretrain", config, user=mia, name="Tiny VLM")
    with worker():
        wait_until(
            lambda: Run.objects.get(pk=run.pk).state == RunState.SUCCEEDED,
            SECONDS,
            lambda: (tmp_path / "worker.log").read_text()[-3000:],
        )
    return BaseModel.objects.get(role=BaseModel.Role.VLM)


def test_real_votes_train_a_reward_model_from_the_admin(
    real_campaign: Campaign,
    tiny_backbone: BaseModel,
    page: Any,
    live_server: Any,
    worker: Callable[..., Any],
    tmp_path: Path,
) -> None:
    site = live_server.url
    log_in(page, site, "mia")
    snapshot_config = {
        "campaign": REAL, "split": {"train": 1.0, "validation": 0.0, "test": 0.0, "seed": 0}
    }  # fmt: skip
    start_from_the_admin(page, site, "snapshot", snapshot_config)
    # Nobody is there to do it, and the page says so.
    assert "worker" in page.locator("main").text_content()
    with worker():
        watch_it_finish(page, tmp_path / "worker.log")
        run = start_from_the_admin(
            page, site, "reward_model", demo_site.preset("micro")["reward_model"],
            snapshot="snapshot", backbone=tiny_backbone.name,
        )  # fmt: skip
        watch_it_finish(page, tmp_path / "worker.log")
    assert run.metrics.filter(name__contains="loss").exists()
    assert page.locator("[data-curves] *").count() > 0
    assert run.artifacts.get().kind == "reward_model"


def labels_of(campaign: Campaign) -> dict[tuple[str, str, str, str], str]:
    rows = Consensus.objects.filter(triplet__campaign=campaign).select_related(
        "triplet__prompt", "triplet__video_a", "triplet__video_b", "dimension"
    )
    found = {}
    for row in rows:
        triplet = row.triplet
        pair = (triplet.prompt.text, triplet.video_a.sha256, triplet.video_b.sha256)
        found[*pair, row.dimension.key] = row.label
    return found


def test_the_exported_csv_put_back_in_gives_the_same_triplets_and_labels(
    real_campaign: Campaign, shared: Path, tmp_path: Path
) -> None:
    from annotation.exporting import write_videoalign

    assert Triplet.objects.filter(campaign=real_campaign).count() == 3
    exported = tmp_path / "exported.csv"
    write_videoalign(Triplet.objects.filter(campaign=real_campaign), exported)
    # Paths in the file are relative to it: the clips lie beside it as they did before.
    (tmp_path / "videos").symlink_to(shared / "data/videoalign/videos")
    call_command("import_triplets", exported, campaign="Again")
    again = Campaign.objects.get(name="Again")
    assert labels_of(again) == labels_of(real_campaign)
    assert len(labels_of(again)) == 9
    twice = tmp_path / "twice.csv"
    write_videoalign(Triplet.objects.filter(campaign=again), twice)
    assert twice.read_bytes() == exported.read_bytes()
    with exported.open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 3
