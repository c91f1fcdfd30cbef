"""The anime loop on its micro preset, in this process: from votes on six dimensions to a report.

The bodies are those of the product's commands; only the child processes, of which each would import
torch anew, are left out.
"""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from annotation.models import Campaign, Video
from formats.outcome import Outcome, OutputKind
from formats.records import GenerationRecord, PairRecord
from formats.run_dir import RunDir
from formats.supervised import Supervised
from pipelines import registry
from pipelines.loops import demo_site
from pipelines.loops.demo_presets import ANIME, preset
from pipelines.models import Artifact, LoopGroup, Run
from pipelines.reporting import read_report
from pipelines.reports.text import as_text
from tests.pipelines.loop_world import play

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.one_engine,
    pytest.mark.timeout(300),
]

DIMENSIONS = ["smoothness", "motion", "appeal", "text", "image", "character"]


def _bodies() -> dict[str, Callable[[Supervised], Outcome]]:
    """Of each trainer, what its command runs; imported late, because torch takes seconds."""
    from demo.annotate import annotate
    from demo.measure import measure_generations
    from demo.pretraining import pretrained_base
    from models_align.sampling import sample
    from models_align.training import train as align
    from models_rm.scores.run import score
    from models_rm.training.run import train as learn

    return {
        "pretrain": pretrained_base,
        "votes": annotate,
        "reward_model": learn,
        "generation": sample,
        "scoring": score,
        "alignment": align,
        "truth": measure_generations,
    }


@pytest.fixture
def loop(live_server: Any, settings: Any, tmp_path: Any) -> LoopGroup:
    """All its runs have succeeded."""
    settings.VAR = tmp_path / "var"
    values = preset("micro", world=ANIME)
    demo_site.prepare(values)
    group = demo_site.fill(values, live_server.url, lambda _text: None)
    assert demo_site.fill(values, live_server.url, lambda _text: None) == group
    bodies = _bodies()

    def really(run: Run, folder: RunDir) -> Outcome:
        return bodies[run.kind](Supervised(folder))

    for run in Run.objects.order_by("pk"):
        play(run, really)
    return group


def test_it_goes_from_votes_on_six_dimensions_to_a_report(loop: LoopGroup) -> None:
    campaign = Campaign.objects.get(pk=loop.campaign_id)
    assert campaign.dimension_set.name == "anime"
    assert not campaign.triplets.filter(prompt__image=None).exists()
    snapshot = Artifact.objects.get(kind=OutputKind.SNAPSHOT)
    assert [row["key"] for row in snapshot.meta["dimension_set"]["dimensions"]] == DIMENSIONS

    # Pairs are best against worst of four clips, and keep the image that these started from.
    pairs = PairRecord.read(registry.path_of(Artifact.objects.get(kind=OutputKind.PAIRS)))
    assert all(pair.image is not None and pair.gap > 0 for pair in pairs)
    made = Artifact.objects.filter(kind=OutputKind.GENERATIONS).order_by("pk")
    clips = GenerationRecord.read(registry.path_of(made[0]))
    assert all(clip.image is not None and "motion" in clip.measures for clip in clips)
    assert len(clips) == 4 * len({clip.prompt_id for clip in clips})
    stored = Video.objects.filter(sha256__in=[clip.video.sha256 for clip in clips])
    assert all(video.prompt.image is not None for video in stored.select_related("prompt"))

    artifact = Artifact.objects.get(kind=OutputKind.REPORT)
    report = read_report(artifact)
    assert report["dimensions"] == DIMENSIONS
    (evaluation,) = report["evaluations"]
    truth = next(each for each in evaluation["judges"] if each["judge"] == "truth")
    assert set(truth["dimensions"]) == {*DIMENSIONS, "overall"}
    assert set(truth["changes"]) == set(DIMENSIONS)
    motion = evaluation["measures"]["motion"]
    assert motion["base"] > 0
    assert motion["change"] == pytest.approx(motion["candidate"] - motion["base"])
    assert "motion amount" in as_text(report)
    kinds = {step.run.kind for step in registry.lineage([artifact.run_id])}
    assert kinds >= {"pretrain", "votes", "reward_model", "pairing", "alignment", "truth"}

    engineer = Client()
    engineer.force_login(User.objects.get(username="engineer"))
    page = engineer.get(f"/reports/{artifact.pk}/").content.decode()
    assert "GAPO against base" in page
    assert "motion amount" in page
    file = engineer.get(f"/reports/{artifact.pk}/report.html").content.decode()
    assert 'class="start-image" src="data:image/png;base64,' in file
