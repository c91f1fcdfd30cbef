"""A generation set in chunks is the set that one run makes: the same clips, each once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from formats.errors import FormatError
from formats.files import sha256_of
from formats.outcome import ExitCode
from formats.records import GenerationRecord
from formats.run_dir import Input, RunDir
from formats.supervised import Supervised, supervise
from models_align import gathering
from models_align.config import ConfigError, GatheringConfig, GenerationConfig
from models_align.gathering import gather
from models_align.grid_config import GridConfig
from models_align.sampling import sample

Make = Callable[..., RunDir]
CHUNKS = 3


def listed(run: RunDir) -> Path:
    return run.outputs / "generations" / "generations.jsonl"


@pytest.fixture
def chunks(generation_run: Make) -> list[RunDir]:
    runs = []
    for number in range(CHUNKS):
        config = {"clips_per_prompt": 2, "chunks": CHUNKS, "chunk": number}
        runs.append(generation_run(f"chunk-{number}", config))
        assert supervise(sample, runs[-1]) == 0
    return runs


@pytest.fixture
def gathered(tmp_path: Path, chunks: list[RunDir]) -> Callable[..., RunDir]:
    def run(name: str = "gathered", **config: Any) -> RunDir:
        made = RunDir(tmp_path / name)
        prompts = tmp_path / "chunk-0-prompts.jsonl"
        inputs = {"prompts": Input(str(prompts), sha256_of(prompts))}
        for number, chunk in enumerate(chunks):
            inputs[f"generations:{number}"] = Input(str(listed(chunk)), sha256_of(listed(chunk)))
        made.prepare({"chunks": CHUNKS, "seed": 0, "clips_per_prompt": 2, **config}, inputs)
        return made

    return run


def test_the_gathered_set_is_the_one_of_a_single_run(
    generation_run: Make, chunks: list[RunDir], gathered: Callable[..., RunDir]
) -> None:
    whole = generation_run("whole", {"clips_per_prompt": 2})
    assert supervise(sample, whole) == 0
    run = gathered()
    assert supervise(gather, run) == 0
    # Byte for byte: clips, ids, order, everything that is said about them.
    assert listed(run).read_bytes() == listed(whole).read_bytes()
    parts = [GenerationRecord.read(listed(chunk)) for chunk in chunks]
    assert sum(map(len, parts)) == 6
    assert sum(bool(part) for part in parts) > 1
    for record in GenerationRecord.read(listed(run)):
        clip = listed(run).parent / record.video.path
        assert sha256_of(clip) == record.video.sha256
        assert clip.stat().st_nlink == 2  # no second copy on the same disk
    outcome = run.outcome()
    assert outcome is not None
    assert outcome.outputs[0].meta == {"clips": 6, "generator": "tiny", "seed": 0}


def test_a_gathering_that_was_killed_goes_on_and_copies_where_no_link_can_be(
    gathered: Callable[..., RunDir], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_link(*_: Any) -> None:
        raise OSError(18, "Invalid cross-device link")

    run = gathered()
    monkeypatch.setattr("os.link", no_link)
    assert supervise(gather, run) == 0
    first = listed(run).read_bytes()
    clips = sorted((listed(run).parent / "clips").iterdir())
    clips[0].unlink()
    clips[1].with_suffix(".tmp").write_bytes(b"half a")
    run.outcome_file.unlink()
    assert supervise(gather, run) == 0
    assert listed(run).read_bytes() == first
    assert {clip.suffix for clip in (listed(run).parent / "clips").iterdir()} == {".mp4"}


def test_what_is_missing_twice_or_not_asked_for_is_named(
    chunks: list[RunDir], gathered: Callable[..., RunDir]
) -> None:
    more = gathered("more", clips_per_prompt=3)
    assert supervise(gather, more) == ExitCode.BAD_DATA
    assert "3 of 9 clips are missing, that of prompt 'p0' with seed 2 first" in said(more)
    fewer = gathered("fewer", clips_per_prompt=1)
    assert supervise(gather, fewer) == ExitCode.BAD_DATA
    assert "with seed 1 was not asked for" in said(fewer)
    other = gathered("other", chunks=4)
    assert supervise(gather, other) == ExitCode.BAD_DATA
    assert "4 chunks leave the inputs generations:0 to generations:3" in said(other)
    full = next(chunk for chunk in chunks if GenerationRecord.read(listed(chunk)))
    with pytest.raises(FormatError, match="is there twice"):
        gathering._found([listed(full)] * 2, gathering._wanted(gathered("x"), CONFIG))
    clip = GenerationRecord.read(listed(full))[0].video.path
    (listed(full).parent / clip).unlink()
    gone = gathered("gone")
    with pytest.raises(FormatError, match=r"the clip .* is missing"):
        gather(Supervised(gone))


CONFIG = GatheringConfig(CHUNKS, 0, 2)


def said(run: RunDir) -> str:
    outcome = run.outcome()
    assert outcome is not None
    return outcome.message


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"chunks": 0}, "chunks must be at least 1, got 0"),
        ({"chunks": 257}, "chunks must be at most 256, got 257"),
        ({"chunks": 2, "chunk": 2}, "chunk must be below chunks, got chunk 2 of 2"),
        ({"chunks": 2, "chunk": -1}, "chunk must be below chunks"),
        ({"chunks": 2, "chunk": "a"}, "chunk must be a whole number, got 'a'"),
        ({"chunks": 2, "chunk": True}, "chunk must be a whole number, got True"),
    ],
)
def test_chunks_that_cannot_be_are_refused(config: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        GenerationConfig.from_json(config)


def test_a_grid_is_one_run() -> None:
    with pytest.raises(ConfigError, match="a grid is one run"):
        GridConfig.from_json({"generation": {"chunks": 2}})
