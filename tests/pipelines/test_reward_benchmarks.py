"""A benchmark is started from the site: what is missing is said before anything is queued."""

from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from formats.outcome import Outcome, Output, OutputKind
from pipelines import kinds, lifecycle
from pipelines.errors import InvalidRunConfig
from pipelines.models import Artifact, Run, RunState
from pipelines.starting import start_run
from tests.pipelines import loop_world


@pytest.fixture
def judge(db: None) -> Artifact:
    run = Run.objects.create(kind="composition", config={}, config_sha="", state="succeeded")
    return Artifact.objects.create(kind="reward_model", run=run, path=f"{run.pk}/m", sha256="0")


@pytest.fixture
def folder(settings: Any) -> Path:
    place = Path(settings.MEDIA_ROOT) / "incoming" / "bench"
    place.mkdir(parents=True)
    (place / "bench.csv").write_text("path_A,path_B,prompt,VQ\na.mp4,b.mp4,x,A\n")
    return place


def start(judge: Artifact, **config: Any) -> Run:
    values = {"folder": "bench", "file": "bench.csv", **config}
    return start_run("reward_benchmark", values, {"reward_model": judge}, user=None)


def test_it_starts_with_a_folder_below_incoming(judge: Artifact, folder: Path) -> None:
    (folder / "other.csv").touch()
    run = start(judge, scores={"other": "other.csv"})
    assert (run.queue, run.config["format"]) == ("gpu", "auto")
    assert list(lifecycle.claimable(["gpu"])) == [run]  # it needs no backbone


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"folder": "gone"}, "there is no folder incoming/gone on the server"),
        ({"file": "gone.csv"}, "incoming/bench holds no file 'gone.csv'"),
        ({"scores": {"x": "gone.csv"}}, "incoming/bench holds no file 'gone.csv'"),
        ({"file": "../other/x.csv"}, "incoming/bench holds no file"),
        ({"file": "../../../etc/passwd"}, "must lie below the folder for imports"),
        ({"folder": "../.."}, "must lie below the folder for imports"),
        ({"folder": "a\0b"}, "must lie below the folder for imports"),
        ({"format": "vbench"}, "format must be one of"),
        ({"fiel": "x"}, "unknown key 'fiel'; did you mean 'file'"),
    ],
)
def test_what_is_not_there_or_lies_elsewhere_is_refused(
    judge: Artifact, folder: Path, config: dict[str, Any], sentence: str
) -> None:
    (folder.parent / "other").mkdir()
    (folder.parent / "other" / "x.csv").touch()
    before = Run.objects.count()
    with pytest.raises(InvalidRunConfig, match=sentence):
        start(judge, **config)
    assert Run.objects.count() == before


def test_its_figures_stand_on_the_page_of_the_run(
    judge: Artifact,
    folder: Path,
    mia: Any,
    client: Any,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = {"VQ": 0.5968, "Overall": 0.6126}
    summary = {
        "benchmark": "videogen_rewardbench",
        "pairs": 26457,
        "accuracy_with_ties": {"this model": row, "always a tie": {"VQ": 0.474, "Overall": 0.419}},
    }

    def examined(run: Run, files: Any) -> Outcome:
        sha256 = loop_world.commit_folder(
            files.outputs / "benchmark", lambda into: loop_world._touch(into / "table.md", 1)
        )
        output = Output(OutputKind.BENCHMARK, "outputs/benchmark", sha256, summary)
        return Outcome(0, outputs=(output,), summary=summary)

    monkeypatch.setitem(loop_world.PRETEND, "reward_benchmark", examined)
    model = Path(settings.RUNS_ROOT) / judge.path
    judge.sha256 = loop_world.commit_folder(model, lambda into: loop_world._touch(into / "x", 1))
    judge.save()
    run = loop_world.play(start(judge))
    assert run.state == RunState.SUCCEEDED
    client.force_login(mia)
    page = client.get(reverse("pipelines:run", args=[run.pk])).content.decode()
    for text in ("this model", "always a tie", "0.597", "0.419", "26,457"):
        assert text in page
    assert (
        client.get(reverse("pipelines:artifact", args=[run.artifacts.get().pk])).status_code == 200
    )


def test_models_are_composed_by_name_and_the_result_judges_like_any_other(judge: Artifact) -> None:
    members = {"reward_model:looks": judge, "reward_model:text": judge}
    run = start_run("composition", {"title": "Both"}, members, user=None)
    assert {row.role for row in run.inputs.all()} == set(members)
    assert kinds.get("composition").output == kinds.get("reward_model").output
    clips = Run.objects.create(kind="generation", config={}, config_sha="", state="succeeded")
    generations = Artifact.objects.create(kind="generations", run=clips, path="g", sha256="1")
    inputs = {"reward_model": run, "generations": generations}
    scoring = start_run("scoring", {}, inputs, user=None)
    assert scoring.inputs.get(role="reward_model").producer == run
    with pytest.raises(InvalidRunConfig, match="the name of an input has at most 60 characters"):
        start_run("composition", {}, {"reward_model:" + "x" * 50: judge}, user=None)
    with pytest.raises(InvalidRunConfig, match="needs an input 'reward_model'"):
        start_run("composition", {}, {}, user=None)


def test_the_admin_has_a_form_for_each_of_the_new_kinds(mia: Any, client: Any) -> None:
    client.force_login(mia)
    for kind in ("scoring", "scores_gathered", "composition", "reward_benchmark"):
        page = client.get(reverse("admin:pipelines_run_add"), {"kind": kind})
        assert page.status_code == 200
        assert kinds.get(kind).title in page.content.decode()
    assert "&quot;scores&quot;: {}" in page.content.decode()


def test_the_pages_of_a_composed_model_name_its_members(
    judge: Artifact, mia: Any, client: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = {
        "dimensions": ["VQ", "TA"],
        "members": {
            "looks": {"dimensions": ["VQ"], "loss": "btt", "backbone": "tiny", "fps": 2.0},
            "text": {"dimensions": ["TA"], "loss": "regression", "backbone": "x/y", "fps": 8.0},
        },
    }

    def composed(_run: Run, files: Any) -> Outcome:
        sha256 = loop_world.commit_folder(
            files.outputs / "reward_model",
            lambda into: (into / "README.md").write_text("# Composed of looks and text\n"),
        )
        output = Output(OutputKind.REWARD_MODEL, "outputs/reward_model", sha256, summary)
        return Outcome(0, outputs=(output,), summary=summary)

    monkeypatch.setitem(loop_world.PRETEND, "composition", composed)
    model = Path(settings.RUNS_ROOT) / judge.path
    judge.sha256 = loop_world.commit_folder(model, lambda into: loop_world._touch(into / "x", 1))
    judge.save()
    run = start_run("composition", {}, {f"reward_model:{n}": judge for n in "ab"}, user=None)
    run = loop_world.play(run)
    client.force_login(mia)
    page = client.get(reverse("pipelines:run", args=[run.pk])).content.decode()
    for text in ("looks", "regression", "x/y"):
        assert text in page
    artifact = run.artifacts.get()
    assert client.get(reverse("pipelines:artifact", args=[artifact.pk])).status_code == 200
    card = client.get(reverse("pipelines:card-md", args=[artifact.pk]))
    assert card.content.decode() == "# Composed of looks and text\n"
