"""Pairing as a run: its inputs, the folder that it leaves, the map that is used again."""

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from annotation.models import Video
from formats.checkpoints import verify_folder
from formats.dimensions import BUILT_IN
from formats.errors import FormatError
from formats.files import sha256_of, write_json
from formats.labels import Label
from formats.outcome import Outcome, Output, OutputKind
from formats.records import (
    GenerationRecord,
    PairRecord,
    PreferenceRecord,
    PromptRecord,
    ScoreRecord,
    VideoRef,
)
from formats.run_dir import RunDir
from formats.snapshot import write_snapshot
from pipelines.errors import InvalidRunConfig
from pipelines.models import Artifact, Run
from pipelines.pairs.files import read_refusals
from pipelines.registry import path_of
from pipelines.rewards.maps import RewardMap, fitted
from pipelines.starting import start_run
from pipelines.step_configs import StepConfigError
from tests.annotation.drawn_overlays import CORNERS, clip_file, scenery, stamped
from tests.pipelines.loop_world import base_models, play, remembered, write_clip

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]

# Clips by prompt and split: their totals, by which they are named.
TRAIN = {"cat": (3.0, 0.0, 1.0), "dog": (2.0, -2.0)}
HELD_OUT = {"owl": (-1.0, 0.0, 1.0, 2.0)}


@pytest.fixture(autouse=True)
def _quick() -> Any:
    with remembered():
        yield


def _generations(world: dict[str, tuple[float, ...]], split: str = "train") -> Artifact:
    """A set of clips, registered as the clips of a run are."""

    def leave(run: Run, folder: RunDir) -> Outcome:
        target, records = folder.outputs / "generations", []
        for prompt, totals in world.items():
            for seed, total in enumerate(totals):
                file = write_clip(target / f"clips/{prompt}-{seed}.mp4", round(20 * total) + 60)
                name = f"{prompt}{total:g}"
                video = VideoRef(
                    name, f"clips/{file.name}", sha256_of(file), 8.0, 4, "tiny-wan", seed
                )
                records.append(GenerationRecord(prompt, prompt, split, video))
        sha256 = GenerationRecord.write(target / "generations.jsonl", records)
        output = Output(OutputKind.GENERATIONS, "outputs/generations/generations.jsonl", sha256)
        return Outcome(0, outputs=(output,))

    return _left("generation", leave, generator=True)


def _left(kind: str, leave: Any, *, generator: bool = False, **inputs: Any) -> Artifact:
    if generator:
        from pipelines.models import BaseModel

        base_models()
        inputs["generator"] = BaseModel.objects.get(role="generator")
    files = {"prompts": [PromptRecord("p", "p")]} if generator else None
    run = play(start_run(kind, {}, inputs, user=None, files=files), leave)
    artifact: Artifact = run.artifacts.get()
    return artifact


def _scores(clips: Artifact, judge: str = "judge") -> Artifact:
    """The reward of a clip is in its name; TA is VQ halved."""

    def leave(_run: Run, folder: RunDir) -> Outcome:
        records = GenerationRecord.read(folder.input("generations"))
        rows = []
        for each in records:
            total = float(each.video.id.removeprefix(each.prompt))
            values = {"VQ": total * 4 / 3, "TA": total * 2 / 3}
            rows.append(ScoreRecord(each.video.id, each.prompt_id, each.prompt, values, values))
        sha256 = ScoreRecord.write(folder.outputs / "scores.jsonl", rows)
        meta = {"reward_model": judge}
        output = Output(OutputKind.SCORES, "outputs/scores.jsonl", sha256, meta)
        return Outcome(0, outputs=(output,))

    return _left("truth", leave, generations=clips)


def _snapshot(*judged: tuple[str, str, str, str]) -> Artifact:
    """(prompt, name of A, name of B, label) of clips that are stored."""

    def ref(prompt: str, total: str) -> VideoRef:
        row = Video.objects.get(prompt__text=prompt, original_path__contains=f"{prompt}-{total}")
        return VideoRef(f"by-people-{total}", row.file, row.sha256, 8.0, 4, "tiny-wan", row.seed)

    def leave(_run: Run, folder: RunDir) -> Outcome:
        records = [
            PreferenceRecord(
                f"pair{n}", prompt, "train", ref(prompt, a), ref(prompt, b), {"VQ": Label(label)}
            )
            for n, (prompt, a, b, label) in enumerate(judged)
        ]
        dimensions = BUILT_IN["videoalign"]
        sha256 = write_snapshot(folder.outputs / "snapshot", dimensions, records, {})
        return Outcome(0, outputs=(Output(OutputKind.SNAPSHOT, "outputs/snapshot", sha256),))

    from annotation.campaigns import create_campaign, ensure_built_in_sets

    ensure_built_in_sets()
    campaign = create_campaign("people", "videoalign", votes_wanted=3)
    run = play_other("snapshot", {"campaign": campaign.pk}, leave)
    artifact: Artifact = run.artifacts.get()
    return artifact


def play_other(kind: str, config: dict[str, Any], leave: Any) -> Any:
    """A step that belongs to Django, with its work made up."""
    from dataclasses import replace

    from pipelines import kinds

    spec = kinds.get(kind)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(kinds._REGISTRY, kind, replace(spec, perform=None, command=("made", "up")))
        return play(start_run(kind, config, {}, user=None), leave)


def _pairing(config: dict[str, Any] | None = None, **inputs: Artifact) -> Artifact:
    run = play(start_run("pairing", config or {}, inputs, user=None))
    artifact: Artifact = run.artifacts.get()
    return artifact


def _refused(config: dict[str, Any], **inputs: Artifact) -> str:
    with pytest.raises((FormatError, StepConfigError)) as found:
        play(start_run("pairing", config, inputs, user=None))
    return str(found.value)


def test_a_set_of_pairs_is_a_folder_with_its_map_and_what_was_refused() -> None:
    clips = _generations({**TRAIN, "alone": (1.0,)})
    pairs = _pairing(generations=clips, scores=_scores(clips))
    folder = path_of(pairs)
    assert folder.is_dir()
    assert verify_folder(folder)["summary"] == pairs.meta
    records = PairRecord.read(folder)
    assert [(each.chosen.id, each.rejected.id) for each in records] == [
        ("cat3", "cat0"), ("dog2", "dog-2"),
    ]  # fmt: skip
    assert records[0].chosen.path == Video.objects.get(sha256=records[0].chosen.sha256).file
    assert records[0].rewards_w == {"VQ": 4.0, "TA": 2.0}
    (refusal,) = read_refusals(folder)
    assert refusal.fault == ("prompt with too few clips", "1 of 2")
    assert refusal.chosen is not None
    assert refusal.chosen.id == "alone1"
    reward_map = RewardMap.read(folder)
    assert reward_map is not None
    assert (reward_map.fitted_on, reward_map.clips) == ("train", 6)
    assert reward_map.reward_model == "judge"
    assert [reward_map(row.rewards_w["VQ"] * 3 / 4) for row in records] == pytest.approx(
        [row.reward_w for row in records]
    )
    assert pairs.meta["refused"] == {"prompt with too few clips": 1}
    assert pairs.meta["reward_map"]["knots"] == len(reward_map.knots)
    # On a flat grey nothing moves but a small square: a watermark would look like scenery.
    assert pairs.meta["watermark_not_visible"] == 2


def test_the_map_of_validation_prompts_is_kept_and_used_again() -> None:
    held_out = _generations(HELD_OUT, "validation")
    clips = _generations(TRAIN)
    scores = _scores(clips)
    first = _pairing(
        generations=clips, scores=scores, validation=held_out, validation_scores=_scores(held_out)
    )
    kept = RewardMap.read(path_of(first))
    assert kept is not None
    assert kept.fitted_on == "validation"
    assert kept.knots == ((-1.0, 0.125), (0.0, 0.375), (1.0, 0.625), (2.0, 0.875))
    again = _pairing(generations=clips, scores=scores, reward_map=first)
    assert RewardMap.read(path_of(again)) == kept
    assert PairRecord.read(path_of(again)) == PairRecord.read(path_of(first))
    other = {"generations": clips, "scores": scores, "reward_map": first}
    assert "this run asks for {'VQ': 1}" in _refused({"weights": {"VQ": 1}}, **other)
    by_another = {**other, "scores": _scores(clips, judge="another judge")}
    assert "belongs to the reward model judge" in _refused({}, **by_another)


def test_people_and_rewards_in_one_set_and_gapo_without_the_contradicted(mia: Any) -> None:
    clips = _generations(TRAIN)
    scores = _scores(clips)
    # Of the cats people like the one with 0 better than that with 3; of the dogs all agree.
    people = _snapshot(("cat", "0", "1", "B"), ("dog", "0", "1", "A"))
    given = {"generations": clips, "scores": scores, "snapshot": people}
    mixed = _pairing(**given)
    assert mixed.meta["sources"] == {"rewards": 1, "votes": 2}
    assert mixed.meta["contradicting"] == 1
    sources = {each.prompt: each.source for each in PairRecord.read(path_of(mixed))}
    assert sources["dog"] == "votes"  # its only pair was judged, and rewards were not asked
    assert mixed.meta["replaced"] == {"judged by people already": 1}
    base_models()
    from pipelines.models import BaseModel

    generator = BaseModel.objects.get(role="generator")
    inputs: dict[str, Any] = {"pairs": mixed, "generator": generator}
    with pytest.raises(InvalidRunConfig, match="1 of the 3 pairs have rewards that contradict"):
        start_run("alignment", {"method": "gapo"}, inputs, user=mia)
    assert start_run("alignment", {"method": "flow_dpo"}, inputs, user=mia).pk
    for_gapo = _pairing({"method": "gapo"}, **given)
    assert for_gapo.meta["refused"]["rewards contradict the people"] == 1
    assert for_gapo.meta["contradicting"] == 0
    for row in PairRecord.read(path_of(for_gapo)):
        assert 0 <= row.reward_l < row.reward_w <= 1
    assert start_run(
        "alignment", {"method": "gapo"}, {"pairs": for_gapo, "generator": generator}, user=mia
    ).pk


def test_a_clip_with_letters_in_its_corner_is_not_set_against_one_without() -> None:
    def leave(_run: Run, folder: RunDir) -> Outcome:
        target, records = folder.outputs / "generations", []
        (target / "clips").mkdir(parents=True)
        for seed in range(3):
            grey = scenery(seed)
            grey = stamped(grey, CORNERS["top left"]) if seed == 0 else grey
            file = clip_file(target / f"clips/{seed}.mp4", grey)
            sha256 = sha256_of(file)
            video = VideoRef(f"cat{seed}", f"clips/{seed}.mp4", sha256, 8.0, 12, "tiny-wan", seed)
            records.append(GenerationRecord("cat", "cat", "train", video))
        sha256 = GenerationRecord.write(target / "generations.jsonl", records)
        output = Output(OutputKind.GENERATIONS, "outputs/generations/generations.jsonl", sha256)
        return Outcome(0, outputs=(output,))

    clips = _left("generation", leave, generator=True)
    scores = _scores(clips)
    found = _pairing(generations=clips, scores=scores)
    (row,) = PairRecord.read(path_of(found))
    assert (row.chosen.id, row.rejected.id) == ("cat2", "cat1")
    assert found.meta["replaced"] == {"watermark on one side only": 1}
    assert found.meta["watermark_not_visible"] == 0
    (refusal,) = read_refusals(path_of(found))
    assert refusal.fault.detail == "on the rejected clip at the top left"
    # Clips are looked at once: what was seen lies beside them, and a damaged note is no note.
    notes = sorted((Path(settings.MEDIA_ROOT) / "overlays").rglob("*.json"))
    assert len(notes) == 3
    times = [each.stat().st_mtime_ns for each in notes]
    notes[0].write_text("{")
    again = _pairing(generations=clips, scores=scores)
    assert again.meta["replaced"] == {"watermark on one side only": 1}
    assert [each.stat().st_mtime_ns for each in notes[1:]] == times[1:]
    assert notes[0].stat().st_mtime_ns != times[0]
    allowed = _pairing({"allow": ["watermark"]}, generations=clips, scores=scores)
    assert PairRecord.read(path_of(allowed))[0].rejected.id == "cat0"


def test_judged_clips_from_elsewhere_get_rewards_of_their_own(mia: Any) -> None:
    elsewhere = _generations(TRAIN)  # as if imported: no scores of this set are given below
    people = _snapshot(("cat", "0", "1", "B"), ("dog", "0", "1", "A"))
    judged = play(start_run("judged_clips", {}, {"snapshot": people}, user=mia)).artifacts.get()
    records = GenerationRecord.read(path_of(judged))
    assert sorted(each.video.id for each in records) == [
        "by-people-0", "by-people-0", "by-people-1", "by-people-1",
    ]  # fmt: skip
    for each in records:
        assert sha256_of(path_of(judged).parent / each.video.path) == each.video.sha256
    by_hash = {each.video.sha256: each.video for each in GenerationRecord.read(path_of(elsewhere))}
    totals = {sha256: float(video.id[3:]) for sha256, video in by_hash.items()}

    def leave(_run: Run, folder: RunDir) -> Outcome:
        rows = [
            ScoreRecord(
                each.video.id, each.prompt_id, each.prompt, {}, {"VQ": totals[each.video.sha256]}
            )
            for each in GenerationRecord.read(folder.input("generations"))
        ]
        sha256 = ScoreRecord.write(folder.outputs / "scores.jsonl", rows)
        return Outcome(0, outputs=(Output(OutputKind.SCORES, "outputs/scores.jsonl", sha256),))

    scores = _left("truth", leave, generations=judged)
    given = {"snapshot": people, "judged_clips": judged, "judged_scores": scores}
    found = _pairing({"method": "gapo"}, **given)
    assert found.meta["sources"] == {"votes": 1}
    assert found.meta["refused"] == {"rewards contradict the people": 1}
    (row,) = PairRecord.read(path_of(found))
    assert (row.rewards_w, row.rewards_l) == ({"VQ": 2.0}, {"VQ": -2.0})
    other = _generations({"cat": (5.0, 6.0)})
    given |= {"generations": other, "scores": _scores(other, judge="another judge")}
    scores.meta["reward_model"] = "judge"
    scores.save()
    assert "one reward model; there are scores from another judg" in _refused({}, **given)


def test_people_alone_need_no_map() -> None:
    _generations(TRAIN)
    pairs = _pairing(snapshot=_snapshot(("dog", "0", "1", "A")))
    assert pairs.meta["source"] == "votes"
    assert RewardMap.read(path_of(pairs)) is None
    (row,) = PairRecord.read(path_of(pairs))
    assert (row.reward_w, row.reward_l, row.rewards_w) == (1.0, 0.0, {})


def test_a_clip_that_people_judged_and_that_is_gone_is_named() -> None:
    _generations(TRAIN)
    people = _snapshot(("dog", "0", "1", "A"))
    Video.objects.filter(prompt__text="dog").update(sha256="0" * 64)
    everything = {"allow": ["duration", "frame_rate", "size", "generator", "watermark"]}
    assert "is not in the store" in _refused(everything, snapshot=people)


def test_what_cannot_be_paired_is_said_in_one_sentence() -> None:
    clips = _generations(TRAIN)
    scores, people = _scores(clips), _snapshot(("dog", "0", "1", "tie"))
    both = {"generations": clips, "scores": scores}
    cases: list[tuple[dict[str, Any], dict[str, Artifact], str]] = [
        ({}, {}, "the input 'generations' is missing: pairs need generations and scores, or"),
        ({}, {"generations": clips}, "the input 'scores' is missing"),
        ({}, {**both, "validation": clips}, "the input 'validation_scores' is missing"),
        ({"minimum_gap": 1.0}, {"snapshot": people}, "minimum_gap speaks of rewards"),
        ({"minimum_margin": 0.5}, both, "minimum_margin speaks of people"),
        ({"weights": {"XY": 1.0}}, {"snapshot": people}, "weights name the dimension 'XY'"),
        ({"weights": {"XY": 1.0}}, both, "no score for dimension 'XY'; there are TA, VQ"),
        ({}, {"snapshot": people}, r"no preference pair came out (tie: 1)"),
        ({"minimum_gap": 99.0}, both, "no preference pair came out (gap below the minimum: 2)"),
        ({"split": "test"}, both, "no preference pair came out (clip of another split: 5)"),
    ]
    for config, inputs, sentence in cases:
        assert sentence in _refused(config, **inputs), sentence


def test_a_damaged_map_or_list_of_refusals_is_named(tmp_path: Path) -> None:
    (tmp_path / "reward_map.json").write_text('{"schema": "reward_map/1", "knots": [[0, 2]]}')
    with pytest.raises(FormatError, match=r"reward_map.json: not a reward map: TypeError"):
        RewardMap.read(tmp_path)
    outside = {**fitted([0.0, 1.0], "minmax").to_json(), "knots": [[0, 0.1], [1, 1.5]]}
    write_json(tmp_path / "reward_map.json", "reward_map/1", outside)
    with pytest.raises(FormatError, match=r"reward_map.json: a reward map must stay in \[0, 1\]"):
        RewardMap.read(tmp_path)
    (tmp_path / "refused.jsonl").write_text(
        '{"schema": "refused_pairs/1", "count": 1}\n{"fault": {"reason": "x"}}\n'
    )
    with pytest.raises(FormatError, match=r"refused.jsonl:2: not a refused_pairs/1 record"):
        read_refusals(tmp_path)
