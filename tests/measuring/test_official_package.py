"""The official package as a child: with a stand-in that has its signatures and leaves its files."""

import dataclasses
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from formats.errors import FormatError
from formats.files import sha256_of
from formats.records import GenerationRecord, ImageRef
from formats.run_dir import Input, RunDir
from formats.supervised import BadConfigError, Supervised
from formats.vbench import I2V, T2V
from measuring import official, workplace
from measuring.running import measure
from tests.measuring import standin

pytestmark = pytest.mark.one_engine
Prepare = Callable[..., RunDir]
Measure = Callable[[RunDir], dict[str, Any]]
SIX = list(T2V.custom())


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return standin.installed(tmp_path_factory.mktemp("vbench") / "venv")


@pytest.fixture
def package(interpreter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package is installed. Gives the folder of its weights."""
    cache = standin.weights(tmp_path / "cache")
    monkeypatch.setenv("TIEBREAK_VBENCH_PYTHON", str(interpreter))
    monkeypatch.setenv("VBENCH_CACHE_DIR", str(cache))
    return cache


def starts(folder: RunDir) -> list[str]:
    file = folder.root / workplace.FOLDER / "starts.txt"
    return file.read_text().splitlines() if file.exists() else []


def test_the_six_dimensions_of_any_prompts_come_from_the_package(
    package: Path, run_dir: Prepare, measured: Measure
) -> None:
    body = measured(run_dir(dimensions=["temporal_flickering", *SIX]))
    assert len(SIX) == 6
    assert set(body["values"]) == {"temporal_flickering", *SIX}
    for key in SIX:
        assert body["values"][key]["source"] == "package"
        assert body["values"][key]["videos"] == 6
    # Prompts are given, not read from file names: “prompt 0” has eight letters.
    assert body["values"]["subject_consistency"]["raw"] == pytest.approx(0.908)
    assert body["values"]["imaging_quality"]["raw"] == pytest.approx(0.70008)
    assert body["clips"][0]["values"]["imaging_quality"] == pytest.approx(70.008)
    assert body["clips"][0]["values"]["dynamic_degree"] == 0
    assert body["totals"]["groups"].keys() == {"quality"}  # all seven are there
    assert body["totals"]["total"] is None
    assert any("compare with each other, not with a published" in note for note in body["notes"])


def test_each_dimension_is_a_process_and_stays_when_the_next_fails(
    package: Path, run_dir: Prepare, measured: Measure
) -> None:
    folder = run_dir(dimensions=["motion_smoothness", "dynamic_degree"])
    (folder.root / workplace.FOLDER).mkdir()
    (package / "behaviour").write_text("fail")
    with pytest.raises(
        RuntimeError, match="failed on motion_smoothness: RuntimeError: CUDA out of"
    ):
        measure(Supervised(folder))
    (package / "behaviour").unlink()
    measured(folder)
    measured(folder)
    assert starts(folder) == ["motion_smoothness", "motion_smoothness", "dynamic_degree"]


def test_start_images_go_with_the_clips_of_image_to_video(
    package: Path, clips: Path, tmp_path: Path, measured: Measure
) -> None:
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "start.PNG").write_bytes(b"image")
    image = ImageRef("start.PNG", "0" * 64)
    rows = [
        dataclasses.replace(each, image=image, prompt=f"{each.prompt}, camera pans left")
        for each in GenerationRecord.read(clips)
    ]
    GenerationRecord.write(clips, rows)
    folder = RunDir(tmp_path / "runs" / "i2v")
    config = {"protocol": "i2v", "dimensions": list(I2V.custom())}
    given = {"generations": Input(str(clips), sha256_of(clips))}
    folder.prepare(config, given, media_root=tmp_path / "media")
    body = measured(folder)
    assert set(body["values"]) == set(I2V.names)
    assert body["totals"]["missing"] == []
    assert body["totals"]["total"] is not None
    names = sorted(each.name for each in (folder.root / workplace.FOLDER / "images").iterdir())
    assert names[0] == "clip000000 camera pans left.png"


def test_clips_without_start_images_are_refused(package: Path, run_dir: Prepare) -> None:
    with pytest.raises(
        BadConfigError, match=r"with their start images, and the clip 'v0' has none"
    ):
        measure(Supervised(run_dir(protocol="i2v", dimensions=["i2v_subject"])))


def test_camera_motion_needs_prompts_that_name_one(package: Path, run_dir: Prepare) -> None:
    with pytest.raises(BadConfigError, match=r"camera pans left.*the prompt 'prompt 0' says none"):
        measure(Supervised(run_dir(protocol="i2v", dimensions=["camera_motion"])))


def test_a_missing_package_says_what_to_install(
    run_dir: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TIEBREAK_VBENCH_PYTHON", raising=False)
    with pytest.raises(BadConfigError) as caught:
        measure(Supervised(run_dir(dimensions=["subject_consistency"])))
    sentence = str(caught.value)
    assert sentence.startswith("the official package measures subject_consistency, and vbench is")
    assert "`pip install vbench` into an environment of its own" in sentence
    assert "TIEBREAK_VBENCH_PYTHON" in sentence


def test_without_its_part_for_images_only_text_to_video_works(
    tmp_path: Path, package: Path, run_dir: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "TIEBREAK_VBENCH_PYTHON", str(standin.installed(tmp_path / "venv", i2v=False))
    )
    official.refuse_not_installed("t2v", ["motion_smoothness"])
    with pytest.raises(BadConfigError, match="and vbench2_beta_i2v is not installed"):
        official.refuse_not_installed("i2v", ["motion_smoothness"])


@pytest.mark.parametrize("dimension", sorted(official.WEIGHTS))
def test_missing_weights_are_named(dimension: str, package: Path) -> None:
    protocol = "t2v" if dimension in T2V.names else "i2v"
    name = official.WEIGHTS[dimension][-1]
    assert official.refuse_not_installed(protocol, [dimension]) == package
    place = package / name
    place.rename(package / "elsewhere")
    with pytest.raises(BadConfigError, match=f"{dimension} needs the weights {name} below"):
        official.refuse_not_installed(protocol, [dimension])


@pytest.mark.parametrize("where", ["/nowhere/python", os.devnull, "/bin/true"])
def test_an_interpreter_that_is_none_is_named(
    where: str, run_dir: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIEBREAK_VBENCH_PYTHON", where)
    with pytest.raises(BadConfigError, match=f"{where} does not run as an interpreter of Python"):
        measure(Supervised(run_dir(dimensions=["subject_consistency"])))


@pytest.mark.parametrize(
    ("behaviour", "sentence"),
    [
        ("skip", r"the package measured 5 of 6 clips; the first without motion_smoothness is 'v0'"),
        ("nan", "motion_smoothness must be a finite number, got nan"),
    ],
)
def test_a_result_of_the_package_is_not_believed(
    behaviour: str, sentence: str, package: Path, run_dir: Prepare
) -> None:
    (package / "behaviour").write_text(behaviour)
    with pytest.raises(FormatError, match=sentence):
        measure(Supervised(run_dir(dimensions=["motion_smoothness"])))


@pytest.fixture
def stopped_soon() -> Iterator[Callable[[RunDir], None]]:
    """Asks a run to stop once the package works on it."""
    threads = []

    def stop(folder: RunDir) -> None:
        deadline = time.monotonic() + 20
        while not starts(folder) and time.monotonic() < deadline:
            time.sleep(0.05)
        folder.write_want("cancel")

    def later(folder: RunDir) -> None:
        threads.append(threading.Thread(target=stop, args=(folder,)))
        threads[0].start()

    yield later
    threads[0].join()


def test_a_run_that_is_cancelled_ends_the_package(
    package: Path, run_dir: Prepare, stopped_soon: Callable[[RunDir], None]
) -> None:
    (package / "behaviour").write_text("hang")
    folder = run_dir(dimensions=["motion_smoothness"])
    stopped_soon(folder)
    with pytest.raises(Exception, match="asked to cancel"):
        measure(Supervised(folder))
    job = str(folder.root / workplace.FOLDER / "motion_smoothness_job.json").encode()
    assert not [each for each in Path("/proc").glob("[0-9]*/cmdline") if job in _read(each)], (
        "the package still runs"
    )


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def test_the_driver_asks_for_the_mode_of_any_prompts(package: Path, run_dir: Prepare) -> None:
    folder = run_dir(dimensions=["motion_smoothness"])
    measure(Supervised(folder))
    info = folder.root / workplace.FOLDER / "fresh_motion_smoothness_full_info.json"
    rows = json.loads(info.read_text())
    assert [row["prompt_en"] for row in rows] == [f"prompt {n // 2}" for n in range(6)]
    assert {row["dimension"][0] for row in rows} == {"motion_smoothness"}
