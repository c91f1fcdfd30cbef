"""VBench on a site: files of the official tool become artifacts, and pages say what they are of."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from formats.errors import FormatError
from formats.outcome import Outcome
from formats.records import PromptRecord
from formats.supervised import Supervised
from formats.vbench import T2V
from formats.vbench_results import ClipValues, Value, VBenchResult, read_result
from pipelines import kinds, launching
from pipelines.errors import InvalidRunConfig
from pipelines.models import Artifact, BaseModel, Run
from pipelines.registry import path_of
from pipelines.starting import start_run
from pipelines.vbench import page as vbench_page
from pipelines.vbench import subjects as vbench_subjects
from pipelines.vbench.beside import beside
from pipelines.vbench.doors import start_import
from tests.formats.test_vbench_official import official
from tests.formats.test_vbench_totals import RAW_I2V, RAW_T2V
from tests.pipelines.loop_world import play

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]
SCENE = {"r.json": {"scene": 0.5}}
PROMPTS = [PromptRecord("p1", "a dog runs"), PromptRecord("p2", "a cat sits")]


def file_of(raw: dict[str, float], name: str = "r_eval_results.json") -> tuple[str, bytes]:
    return name, json.dumps(official(raw)).encode()


def imported(raw: dict[str, float], **options: Any) -> Artifact:
    run = start_import([file_of(raw)], user=None, **options)
    artifact: Artifact = play(run).artifacts.get()
    return artifact


def as_(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def clips(db: None) -> Artifact:
    """Made by a tiny generator that nobody loads."""
    model = BaseModel.objects.create(
        name="tiny", role="generator", source="owner/tiny", revision="0" * 40
    )
    run = start_run(
        "generation",
        {"clips_per_prompt": 2},
        {"generator": model},
        user=None,
        files={"prompts": PROMPTS},
    )
    artifact: Artifact = play(run).artifacts.get()
    return artifact


def measured(clips: Artifact, **config: Any) -> Artifact:
    from measuring.running import measure

    def work(_run: Any, folder: Any) -> Outcome:
        return measure(Supervised(folder))

    run = start_run("vbench", config, {"generations": clips}, user=None)
    artifact: Artifact = play(run, work).artifacts.get()
    return artifact


# Importing.


def test_a_complete_file_becomes_a_result_with_its_total(mia: Any) -> None:
    artifact = imported(RAW_T2V, generator="model X")
    assert artifact.kind == "vbench"
    assert artifact.meta["total"] == pytest.approx(0.825941, abs=1e-6)
    page = as_(mia).get(reverse("pipelines:vbench-result", args=[artifact.pk])).content.decode()
    assert "VBench of model X" in page
    assert "0.8259" in page
    assert "There is no total" not in page


def test_an_incomplete_file_shows_why_there_is_no_total(mia: Any) -> None:
    raw = {key: value for key, value in RAW_T2V.items() if key not in ("scene", "color")}
    artifact = imported(raw)
    assert "total" not in artifact.meta
    page = as_(mia).get(reverse("pipelines:vbench-result", args=[artifact.pk])).content.decode()
    assert "There is no total: 2 dimensions are missing (color, scene)." in page
    assert "0.8396" in page  # quality is complete
    listed = as_(mia).get(reverse("pipelines:vbench")).content.decode()
    assert "VBench: no total, 2 dimensions missing" in listed


def test_image_to_video_has_its_own_groups(mia: Any) -> None:
    artifact = imported({**RAW_I2V, "temporal_flickering": 0.97}, protocol="i2v")
    assert artifact.meta["total"] == pytest.approx(0.861617, abs=1e-6)
    page = as_(mia).get(reverse("pipelines:vbench-result", args=[artifact.pk])).content.decode()
    assert "Measured too, in no total" in page


def test_a_bad_file_leaves_neither_run_nor_file(settings: Any) -> None:
    bad = ("r.json", b'{"scene": 52}')
    with pytest.raises(FormatError, match=r"r\.json: scene is 52; expected 0 to 1"):
        start_import([bad], user=None)
    with pytest.raises(InvalidRunConfig, match="generator must be at most 200"):
        start_import([file_of(RAW_T2V)], user=None, generator="x" * 300)
    assert not Run.objects.exists()
    assert not [each for each in Path(settings.MEDIA_ROOT).rglob("*") if each.is_file()]


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({}, "name at least one file of results"),
        ({"files": ["gone.json"]}, "there is no file incoming/gone.json on the server"),
        ({"files": ["../../etc/passwd"]}, "must lie below the folder for imports"),
        ({"files": ["a.json", "a.json"]}, "files names 'a.json' twice"),
        ({"files": "a.json"}, "files must be a list of file names"),
        ({"files": ["x"], "protocol": "v2v"}, "protocol must be one of t2v, i2v"),
        ({"files": ["x"], "scale": "1-5"}, "scale must be one of 0-1, 0-100"),
        ({"file": []}, "unknown key 'file'; did you mean 'files'"),
    ],
)
def test_a_bad_config_is_refused_before_the_queue(config: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidRunConfig, match=sentence):
        start_run("vbench_import", config, user=None)
    assert not Run.objects.exists()


def test_results_of_the_same_generator_are_joined_to_a_total() -> None:
    """What the tool cannot do here, and what we measured, together have all sixteen."""
    semantic = {each.key: RAW_T2V[each.key] for each in T2V.of_group("semantic")}
    quality = {each.key: RAW_T2V[each.key] for each in T2V.of_group("quality")}
    first, second = imported(semantic, generator="X"), imported(quality, generator="X")
    both = {"result:a": first, "result:b": second}
    joined = play(start_run("vbench_import", {}, both, user=None)).artifacts.get()
    assert joined.meta["total"] == pytest.approx(0.825941, abs=1e-6)
    third = imported({"scene": 0.1}, generator="X")
    with pytest.raises(FormatError, match=r"scene is 0\.1 in one result and 0\.52 in another"):
        play(start_run("vbench_import", {}, {"result:a": first, "result:c": third}, user=None))
    other = imported({"color": 0.5}, generator="Y")
    with pytest.raises(FormatError, match="one result is of 'X', another of 'Y'"):
        play(start_run("vbench_import", {}, {"result:a": first, "result:d": other}, user=None))


def test_values_of_videos_find_their_clips_by_the_names_of_the_tool(clips: Artifact) -> None:
    videos = [
        {"video_path": f"/far/away/{each.text}-{n}.mp4", "video_results": 0.9 + n / 100}
        for each in PROMPTS
        for n in range(2)
    ]
    content = json.dumps({"motion_smoothness": [0.905, videos]}).encode()
    run = start_import([("r.json", content)], user=None, inputs={"generations": clips})
    found = read_result(path_of(play(run).artifacts.get()))
    assert {clip.prompt for clip in found.clips} == {"a dog runs", "a cat sits"}
    assert {clip.prompt_id for clip in found.clips} == {"p1", "p2"}
    assert found.notes == []
    strange = {"motion_smoothness": [0.9, [{"video_path": "x.mp4", "video_results": 0.9}]]}
    file = ("r.json", json.dumps(strange).encode())
    run = start_import([file], user=None, inputs={"generations": clips})
    (note,) = read_result(path_of(play(run).artifacts.get())).notes
    assert note.startswith("1 of 1 videos of the files are not among the clips")


# Measuring clips that are here.


def test_clips_of_a_run_are_measured_and_the_page_says_what_they_are_of(
    clips: Artifact, mia: Any
) -> None:
    artifact = measured(clips)
    page = as_(mia).get(reverse("pipelines:vbench-result", args=[artifact.pk])).content.decode()
    assert "computed by Tiebreak, mean over videos" in page
    assert "15 dimensions are missing" in page
    assert "Proxies: not VBench" in page
    assert "motion amount" in page
    assert f"generations {clips.pk}" in page
    assert "generator: tiny" in page
    subject = vbench_subjects.subject_of(artifact, vbench_page.result_of(artifact))
    assert [row.role for row in subject.sources] == ["generations", "generator"]


def test_a_worker_tells_its_trainer_where_the_official_package_is(
    clips: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIEBREAK_VBENCH_PYTHON", "/opt/vbench/bin/python")
    monkeypatch.setenv("VBENCH_CACHE_DIR", "/opt/weights")
    run = start_run("vbench", {}, {"generations": clips}, user=None)
    given = launching.environment(kinds.get("vbench"), run, slots=1)
    assert given["TIEBREAK_VBENCH_PYTHON"] == "/opt/vbench/bin/python"
    assert given["VBENCH_CACHE_DIR"] == "/opt/weights"


def test_chunks_are_runs_that_one_more_gathers(clips: Artifact, mia: Any) -> None:
    from measuring.gathering import gather
    from measuring.running import measure

    run = start_run("vbench", {"chunks": 2}, {"generations": clips}, user=None)
    assert run.kind == "vbench_gathered"
    for row in run.inputs.filter(role__startswith="vbench:").select_related("producer"):
        play(row.producer, lambda _run, folder: measure(Supervised(folder)))
    whole = play(run, lambda _run, folder: gather(Supervised(folder))).artifacts.get()
    alone = measured(clips)
    assert read_result(path_of(whole)).to_json() == read_result(path_of(alone)).to_json()
    listed = as_(mia).get(reverse("pipelines:vbench")).context["results"]
    assert [artifact for artifact, _ in listed] == [alone, whole]  # the chunks are not


def test_two_results_stand_side_by_side_with_intervals(clips: Artifact, mia: Any) -> None:
    base, candidate = measured(clips), measured(clips, proxies=False)
    url = reverse("pipelines:vbench-result", args=[candidate.pk])
    page = as_(mia).get(url, {"beside": base.pk}).content.decode()
    assert "+0 (+0 to +0)" in page
    other = imported(RAW_I2V, protocol="i2v")
    page = as_(mia).get(url, {"beside": other.pk}).content.decode()
    assert "VBench-I2V: the two do not compare" in page
    for wrong in ("999999", "x", clips.pk):
        assert "There is no VBench result" in as_(mia).get(url, {"beside": wrong}).content.decode()


def test_imaging_quality_of_videos_is_brought_to_the_scale_of_its_aggregate() -> None:
    low, high = ({**RAW_T2V, "imaging_quality": value} for value in (0.6, 0.7))
    results = [vbench_page.result_of(imported(raw)) for raw in (low, high)]
    found = beside(*results)
    assert found.changes["imaging_quality"].change == pytest.approx(0.1)


def test_one_text_with_two_start_images_is_two_prompts() -> None:
    def result(*values: float) -> VBenchResult:
        clips = [
            ClipValues(f"v{n}", f"image-{n}", "a dog runs", 0, {"scene": value})
            for n, value in enumerate(values)
        ]
        return VBenchResult("t2v", {"scene": Value(0.5, "package")}, {}, clips)

    found = beside(result(0.1, 0.2), result(0.2, 0.4)).changes["scene"]
    assert (found.prompts, found.clips) == (2, 2)
    assert found.change == pytest.approx(0.15)


# Doors.


def test_files_are_uploaded_on_the_page(mia: Any) -> None:
    name, content = file_of(RAW_T2V)
    data = {
        "act": "import", "protocol": "t2v", "scale": "0-1", "generator": "model X",
        "results": [SimpleUploadedFile(name, content)],
    }  # fmt: skip
    answer = as_(mia).post(reverse("pipelines:vbench"), data)
    run = Run.objects.get()
    assert answer.status_code == 302
    assert answer["Location"] == reverse("pipelines:run", args=[run.pk])
    assert play(run).artifacts.get().meta["total"] == pytest.approx(0.825941, abs=1e-6)


def test_a_bad_upload_is_said_on_the_page(mia: Any) -> None:
    bad = SimpleUploadedFile("odd.json", b'{"scene": NaN}')
    data = {"act": "import", "protocol": "t2v", "scale": "0-1", "results": [bad]}
    answer = as_(mia).post(reverse("pipelines:vbench"), data)
    assert answer.status_code == 422
    assert "odd.json: scene must be a finite number, got nan" in answer.content.decode()
    assert not Run.objects.exists()


def test_clips_are_measured_from_the_page(clips: Artifact, mia: Any) -> None:
    data = {
        "act": "measure", "measured": clips.pk, "benchmark": "t2v",
        "dimensions": ["temporal_flickering"], "chunks": 1,
    }  # fmt: skip
    assert as_(mia).post(reverse("pipelines:vbench"), data).status_code == 302
    assert Run.objects.get(kind="vbench").config["dimensions"] == ["temporal_flickering"]
    data["dimensions"] = ["i2v_subject"]
    answer = as_(mia).post(reverse("pipelines:vbench"), data)
    assert answer.status_code == 422
    assert "each of dimensions must be one of" in answer.content.decode()


def test_leads_look_and_do_not_start(lee: Any, clips: Artifact) -> None:
    url = reverse("pipelines:vbench")
    page = as_(lee).get(url).content.decode()
    assert "<h1>VBench</h1>" in page
    assert "Import what the official tool left" not in page
    assert as_(lee).post(url, {"act": "measure"}).status_code == 403


def test_programs_import_and_read(mia: Any, client: Client, settings: Any) -> None:
    client.force_login(mia)
    body = {"results": {"r.json": official(RAW_T2V)}, "generator": "X", "nonce": "once"}
    url = reverse("pipelines:api-vbench")
    answer = client.post(url, body, content_type="application/json")
    assert answer.status_code == 201, answer.content
    again = client.post(url, body, content_type="application/json")
    assert again.json() == answer.json()
    assert len(list((Path(settings.MEDIA_ROOT) / "incoming").rglob("*.json"))) == 1
    artifact = play(Run.objects.get(pk=answer.json()["run"])).artifacts.get()
    found = client.get(reverse("pipelines:api-vbench-result", args=[artifact.pk])).json()
    assert found["totals"]["total"] == pytest.approx(0.825941, abs=1e-6)
    assert found["values"]["scene"]["file"] == "r.json"
    (row,) = client.get(url).json()["results"]
    assert row["id"] == artifact.pk


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "name at least one file of results"),
        ({"results": {"r.json": {"scene": 52}}}, "r.json: scene is 52"),
        ({"results": {"r.json": {"sceen": 0.5}}}, "did you mean 'scene'"),
        ({"files": ["gone.json"]}, "there is no file incoming/gone.json"),
        ({"files": "gone.json"}, "files must be a list of names"),
        ({"result": {}}, "unknown entry 'result'"),
        ({"results": SCENE, "protocol": "x"}, "protocol must be one of"),
        ({"results": SCENE, "inputs": {"adapter": {"artifact": 9}}}, "no artifact 9"),
    ],
)
def test_a_bad_request_is_one_sentence(
    mia: Any, client: Client, body: dict[str, Any], sentence: str
) -> None:
    client.force_login(mia)
    answer = client.post(reverse("pipelines:api-vbench"), body, content_type="application/json")
    assert answer.status_code == 422
    assert sentence in answer.json()["error"]
    assert not Run.objects.exists()


def test_a_command_imports_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = []
    for key, value in official(RAW_T2V).items():
        paths.append(tmp_path / f"{key}_eval_results.json")
        paths[-1].write_text(json.dumps({key: value}))
    call_command("import_vbench", *map(str, paths), "--generator", "X")
    run = Run.objects.get()
    assert f"run {run.pk} (vbench_import) is queued" in capsys.readouterr().out
    assert play(run).artifacts.get().meta["total"] == pytest.approx(0.825941, abs=1e-6)
    paths[0].write_text('{"scene": 3}')
    with pytest.raises(CommandError, match=r"subject_consistency_eval_results\.json: scene is 3"):
        call_command("import_vbench", str(paths[0]))
    with pytest.raises(CommandError, match=r"gone\.json: No such file"):
        call_command("import_vbench", str(tmp_path / "gone.json"))


def test_the_whole_file_is_taken_away_as_json(mia: Any) -> None:
    artifact = imported(RAW_T2V)
    answer = as_(mia).get(reverse("pipelines:vbench-json", args=[artifact.pk]))
    assert json.loads(answer.content)["schema"] == "vbench/1"
    path_of(artifact).unlink()
    assert as_(mia).get(reverse("pipelines:vbench-json", args=[artifact.pk])).status_code == 404
    page = as_(mia).get(reverse("pipelines:vbench-result", args=[artifact.pk]))
    assert page.status_code == 422
    assert "the file is missing" in page.content.decode()


def test_names_of_uploads_stay_below_the_folder_for_imports(settings: Any) -> None:
    content = file_of(RAW_T2V)[1]
    run = start_import([("../../../x y.json", content), ("x y.json", content)], user=None)
    files = run.config["files"]
    assert [Path(each).name for each in files] == ["x_y.json", "1-x_y.json"]
    assert all((Path(settings.MEDIA_ROOT) / "incoming" / each).is_file() for each in files)


def test_a_result_is_read_with_totals_worked_out_anew() -> None:
    artifact = imported({"scene": 0.5})
    file = path_of(artifact)
    body = json.loads(file.read_text())
    body["totals"]["total"] = 0.99
    file.chmod(0o600)
    file.write_text(json.dumps(body))
    assert read_result(file).totals().total is None
