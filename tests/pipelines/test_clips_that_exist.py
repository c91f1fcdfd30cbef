"""Clips that are here already as a generation set: found, paired, counted; gaps are named."""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from annotation.media import storage
from annotation.media.keeping import store_video
from annotation.media.storage import media_storage
from annotation.models import Generator, Prompt, Video
from formats.errors import FormatError
from formats.files import sha256_of
from formats.records import GenerationRecord, PromptRecord
from formats.supervised import Supervised
from pipelines import launching
from pipelines.errors import InvalidRunConfig
from pipelines.generations import read_generations, shown_clips
from pipelines.models import Artifact, Run
from pipelines.registry import path_of
from pipelines.starting import start_run
from pipelines.suites import existing_clips
from tests.pipelines.loop_world import play, remembered, write_clip

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]
PROMPTS = [PromptRecord(f"s/{n}", f"prompt {n}") for n in range(3)]


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with remembered():
        yield


def _incoming(name: str, shade: int) -> Path:
    return write_clip(Path(settings.MEDIA_ROOT) / "incoming" / name, shade)


def _known(generator: str, clips: dict[str, list[int | None]]) -> None:
    """Clips of a generator, by prompt their seeds."""
    made_by, _ = Generator.objects.get_or_create(name=generator)
    number = 0
    for prompt, seeds in clips.items():
        for seed in seeds:
            number += 1
            file = _incoming(f"{prompt}-{number}.mp4", 7 * number)
            store_video(
                file, prompt=Prompt.objects.for_text(prompt), generator=made_by, seed=seed,
                original_path=file.name,
            )  # fmt: skip


def _set(config: dict[str, Any], inputs: Any = None) -> Artifact:
    run = start_run("existing_clips", config, inputs, user=None, files={"prompts": PROMPTS})
    artifact: Artifact = play(run).artifacts.get()
    return artifact


def _records(artifact: Artifact) -> list[GenerationRecord]:
    return read_generations(path_of(artifact))


def test_the_clips_of_a_generator_are_taken_under_their_seeds() -> None:
    _known("wan", {f"prompt {n}": [5, 3] for n in range(3)} | {"another prompt": [1]})
    artifact = _set({"generator": "wan"})
    records = _records(artifact)
    assert [(each.prompt_id, each.video.seed) for each in records] == [
        (f"s/{n}", seed) for n in range(3) for seed in (3, 5)
    ]
    assert all((path_of(artifact).parent / each.video.path).is_file() for each in records)
    assert artifact.meta["footage"] == {"fps": {"8": 6}, "frames": {"4": 6}, "size": {"32x32": 6}}
    assert artifact.meta["warnings"] == []


def test_clips_without_seeds_are_numbered_by_their_names_and_can_be_watched() -> None:
    _known("wan", {f"prompt {n}": [None, None] for n in range(3)})
    artifact = _set({"generator": "wan"})
    assert [each.video.seed for each in _records(artifact)] == [0, 1] * 3
    assert artifact.meta["warnings"] == ["6 clips have no seed and are paired by their number"]
    assert len(shown_clips(artifact)) == 6


def test_a_prompt_without_its_clips_is_named_and_may_be_left_out() -> None:
    _known("wan", {"prompt 0": [1, 2], "prompt 2": [1]})
    with pytest.raises(FormatError) as caught:
        _set({"generator": "wan"})
    assert str(caught.value) == (
        "clips are missing for 2 of 3 prompts: s/1 ('prompt 1'): 0 of 2; s/2 ('prompt 2'): 1 of 2;"
        " bring them, or set missing to 'leave out'"
    )
    artifact = _set({"generator": "wan", "missing": "leave out"})
    assert len(_records(artifact)) == 3
    assert artifact.meta["warnings"][0].startswith("2 prompts lack clips: s/1")


@pytest.mark.parametrize(
    ("seeds", "sentence"),
    [
        ([1, None], "some clips of prompt s/0 have a seed and some have none"),
        ([1, 1], "two clips of prompt s/0 have the seed 1"),
    ],
)
def test_clips_that_cannot_be_told_apart_are_refused(
    seeds: list[int | None], sentence: str
) -> None:
    _known("wan", {f"prompt {n}": seeds for n in range(3)})
    with pytest.raises(FormatError, match=sentence):
        _set({"generator": "wan"})


def test_a_clip_that_the_store_has_lost_is_named() -> None:
    _known("wan", {f"prompt {n}": [1] for n in range(3)})
    lost = Video.objects.get(prompt__text="prompt 1")
    Path(media_storage().local(lost.file, lost.sha256)).unlink()
    with pytest.raises(FormatError, match=r"1 clips are not there any more: prompt 1-2.mp4 of s/1"):
        _set({"generator": "wan"})


def test_mixed_frame_rates_and_sizes_of_a_set_are_said() -> None:
    _known("wan", {f"prompt {n}": [1] for n in range(3)})
    Video.objects.filter(prompt__text="prompt 2").update(fps=16, width=64)
    artifact = _set({"generator": "wan"})
    assert artifact.meta["warnings"] == [
        "mixed frame rates: 2 at 8, 1 at 16",
        "mixed sizes: 2 at 32x32, 1 at 64x32",
    ]


def test_nobody_means_clips_that_do_not_exist() -> None:
    with pytest.raises(InvalidRunConfig, match="no clip here is of a generator named 'nobody'"):
        _set({"generator": "nobody"})
    with pytest.raises(InvalidRunConfig, match="say whose clips: a generator by its name"):
        _set({})


def _imported(rows: list[tuple[str, str, int]]) -> Run:
    folder = Path(settings.MEDIA_ROOT) / "incoming" / "theirs"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "clips.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "prompt", "model", "seed"])
        for number, (name, prompt, seed) in enumerate(rows):
            if name.endswith(".mp4"):
                write_clip(folder / name, 11 * number)
            else:
                (folder / name).write_text("no clip")
            writer.writerow([name, prompt, "theirs", seed])
    config = {"folder": "theirs", "manifest": "clips.csv", "processes": 1}
    run: Run = play(start_run("ingest", config, user=None))
    return run


def test_a_folder_with_a_table_is_imported_and_then_taken() -> None:
    run = _imported([(f"{n}.mp4", f"prompt {n}", 9) for n in range(3)])
    records = _records(_set({}, {"ingest": run.artifacts.get()}))
    assert [(each.video.generator, each.video.seed) for each in records] == [("theirs", 9)] * 3


def test_what_an_import_refused_is_named() -> None:
    run = _imported([("a.mp4", "prompt 0", 1), ("b.txt2", "prompt 1", 1)])
    with pytest.raises(FormatError, match=r"1 of 2 clips were refused by the import: b.txt2: "):
        _set({}, {"ingest": run.artifacts.get()})


def test_a_clip_of_a_prompt_that_the_suite_does_not_have_is_named() -> None:
    run = _imported([("a.mp4", "prompt 0", 1), ("b.mp4", "promt 1", 1)])
    with pytest.raises(
        FormatError, match=r"1 clips are of prompts that the suite does not have: b.mp4"
    ):
        _set({}, {"ingest": run.artifacts.get()})


def test_of_an_earlier_set_the_clips_of_the_suite_are_taken() -> None:
    _known("wan", {f"prompt {n}": [1] for n in range(3)})
    earlier = _set({"generator": "wan"})
    run = start_run(
        "existing_clips", {}, {"generations": earlier}, user=None, files={"prompts": PROMPTS[1:]}
    )
    taken = _records(play(run).artifacts.get())
    assert [each.video.sha256 for each in taken] == [
        each.video.sha256 for each in _records(earlier)[1:]
    ]


def _naive(path: Path, target: Path) -> None:
    """The mutant: a clip has its name before it is whole."""
    if not target.is_file():
        storage.link_or_copy(path, target)


@pytest.mark.parametrize("bring", [storage.bring, _naive], ids=["ours", "mutant"])
def test_a_run_that_was_killed_in_the_middle_of_a_clip_leaves_no_half_one(
    monkeypatch: pytest.MonkeyPatch, bring: Callable[[Path, Path], None]
) -> None:
    _known("wan", {f"prompt {n}": [1] for n in range(3)})

    def killed(path: Path, target: Path) -> None:
        target.write_bytes(path.read_bytes()[:100])
        raise KeyboardInterrupt

    config = {"generator": "wan"}
    run = start_run("existing_clips", config, user=None, files={"prompts": PROMPTS})
    monkeypatch.setattr(existing_clips, "bring", bring)
    with monkeypatch.context() as patch:
        patch.setattr(storage, "link_or_copy", killed)
        folder = launching.prepare(run)
        with pytest.raises(KeyboardInterrupt):
            existing_clips.perform(Supervised(folder))
    artifact = play(run).artifacts.get()
    wrong = [
        each.video.sha256
        for each in _records(artifact)
        if sha256_of(path_of(artifact).parent / each.video.path) != each.video.sha256
    ]
    assert len(wrong) == (1 if bring is _naive else 0)
