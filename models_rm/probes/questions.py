"""Questions with known answers, asked of every reward model (ML.md R7).

Released reward models were found to give one score whatever the prompt said, or to like broken
clips (VideoScore issues 4 and 5). Each probe says what was expected, what was measured, and whether
that is fine. A probe that cannot be asked, for want of pairs or prompts, is `not_applicable`; one
without a right answer is `information`.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import av
import numpy as np

from formats.errors import FormatError
from models_rm.metrics import accuracy_without_ties, btt_log_probabilities, compare, spearman
from models_rm.preferences.data import Pairs
from models_rm.probes.asking import (
    FEW,
    Examined,
    Probe,
    Rewards,
    Status,
    Subject,
    Video,
    examine,
    frames_of_one,
    not_asked,
    places_of,
    score_rows,
    status,
    told_places,
    with_other_prompts,
)

DECIDED: Final = 20  # pairs below which an accuracy says nothing
# A reward that follows a property of the file this much (Spearman), and this much more than people
# do, has found a shortcut.
SHORTCUT: Final = 0.5
MORE_THAN_PEOPLE: Final = 0.2


def run_probes(
    subject: Subject, pairs: Pairs, root: Path, *, limit: int = 128, seed: int = 0
) -> list[dict[str, Any]]:
    """Ask all probes about at most `limit` pairs; each answer as plain JSON, in a fixed order."""
    if not len(pairs) or not limit:
        return []
    examined = examine(subject, pairs, root, limit, seed)
    return [_answer(probe, examined).to_json() for probe in PROBES]


def alarms(probes: Sequence[Mapping[str, Any]]) -> list[str]:
    """The sentences of the probes that failed."""
    return [each["sentence"] for each in probes if each["status"] == Status.FAILED]


def _answer(probe: Callable[[Examined], Probe], examined: Examined) -> Probe:
    try:
        return probe(examined)
    except FormatError as error:  # a clip that cannot be read says nothing about the model
        name = probe.__name__.removeprefix("probe_")
        return Probe(name, "", "–", Status.NOT_APPLICABLE, f"It could not be asked: {error}")


# The probes. Each is one function; `PROBES` at the end is their order.


def probe_prompt_swap(examined: Examined) -> Probe:
    """Dimensions that stand before the prompt in the rating text cannot depend on it."""
    name, expected = "prompt_swap", "no change of the dimensions that do not see the prompt"
    blind = examined.of(sees_prompt=False)
    if not blind:
        return not_asked(name, expected, "Every dimension sees the prompt.")
    moved = with_other_prompts(examined)
    change = np.abs(moved - examined.base)[:, blind].max(axis=0)
    keys = [examined.keys[d] for d in blind]
    worst = float((change / examined.spread[blind]).max())
    how = "bit for bit" if worst == 0 else f"within {worst:.2g} standard deviations"
    names = ", ".join(keys)
    passed = worst <= examined.subject.tolerance
    sentence = (
        f"With another prompt {names} stay the same, {how}."
        if passed
        else f"Another prompt changes {names} by up to {worst:.2g} standard deviations."
    )
    figures = {f"change/{key}": float(value) for key, value in zip(keys, change, strict=True)}
    return Probe(name, expected, f"{worst:.3g}", status(passed), sentence, figures)


def probe_shuffled_prompts(examined: Examined) -> Probe:
    """What judges the prompt must judge worse when each clip comes with the prompt of another."""
    name, expected = "shuffled_prompts", "less accuracy of the dimensions that see the prompt"
    seeing = examined.of(sees_prompt=True)
    if not seeing:
        return not_asked(name, expected, "No dimension sees the prompt.")
    if len(set(examined.prompts)) < 2:
        return not_asked(name, expected, "There is one prompt only.")
    moved = with_other_prompts(examined)
    falls = {examined.keys[d]: _fall(examined, moved, d) for d in seeing}
    known = {key: fall for key, fall in falls.items() if fall is not None}
    if not known:
        return not_asked(name, expected, f"Fewer than {DECIDED} pairs are decided.")
    passed = all(fall[0] > fall[1] for fall in known.values())
    told = "; ".join(_told_fall(key, *fall) for key, fall in known.items())
    sentence = f"With the prompts of other clips, accuracy without ties: {told}."
    figures = {
        f"{what}/{key}": value
        for key, fall in known.items()
        for what, value in zip(("right", "shuffled"), fall, strict=False)
    }
    measured = ", ".join(f"{key} {fall[0] - fall[1]:+.3f}" for key, fall in known.items())
    return Probe(name, expected, measured, status(passed), sentence, figures)


def probe_same_clip_twice(examined: Examined) -> Probe:
    """A clip against itself: no difference, and the tie probability of the formula at 0."""
    name, expected = "same_clip_twice", "d = 0 and P(tie) = (theta - 1) / (theta + 1)"
    count = min(FEW, len(examined.rows))
    videos = [video for video in examined.files[:count] for _ in range(2)]
    prompts = [row.prompt for row in examined.rows[:count] for _ in range(2)]
    rewards = examined.subject.score(videos, prompts)
    gap = rewards[0::2] - rewards[1::2]
    theta = np.asarray(examined.subject.theta, dtype=float)
    ties = np.exp(btt_log_probabilities(gap, theta))[..., 1]
    off = float(np.abs(ties - (theta - 1) / (theta + 1)).max())
    worst = float((np.abs(gap) / examined.spread).max())
    passed = worst <= examined.subject.tolerance
    sentence = (
        f"A clip against itself differs by {worst:.2g} standard deviations; "
        f"P(tie) is {off:.2g} off the formula."
    )
    return Probe(
        name, expected, f"{worst:.3g}", status(passed), sentence, {"difference": worst, "off": off}
    )


def probe_swapped_sides(examined: Examined) -> Probe:
    """B against A is minus A against B."""
    name, expected = "swapped_sides", "d changes its sign and nothing else"
    n = min(FEW, len(examined.a))
    forth = np.stack([examined.a[:n], examined.b[:n]], axis=1).ravel()
    back = np.stack([examined.b[:n], examined.a[:n]], axis=1).ravel()
    first, second = (score_rows(examined, rows) for rows in (forth, back))
    total = (first[0::2] - first[1::2]) + (second[0::2] - second[1::2])
    worst = float((np.abs(total) / examined.spread).max())
    passed = worst <= examined.subject.tolerance
    sentence = f"d(A, B) + d(B, A) is at most {worst:.2g} standard deviations."
    return Probe(name, expected, f"{worst:.3g}", status(passed), sentence, {"sum": worst})


def probe_black_clip(examined: Examined) -> Probe:
    """A black clip is worse than most."""
    name, expected = "black_clip", "below the median of real clips in every dimension"
    places = places_of(examined, np.zeros_like(frames_of_one(examined)))
    high = [key for key, place in places.items() if place >= 0.5]
    sentence = (
        "A black clip stands below the median in every dimension."
        if not high
        else f"A black clip is not below the median in {', '.join(high)}; it has more reward than "
        f"{told_places(places)} of real clips."
    )
    return Probe(name, expected, told_places(places), status(not high), sentence, places)


def probe_noise_clip(examined: Examined) -> Probe:
    """Where pure noise stands among real clips."""
    shape = frames_of_one(examined).shape
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    places = places_of(examined, noise)
    sentence = (
        f"A clip of noise has more reward than this share of real clips: {told_places(places)}."
    )
    return Probe("noise_clip", "low", told_places(places), Status.INFORMATION, sentence, places)


def probe_frozen_clip(examined: Examined) -> Probe:
    """What stopping a clip at its first frame does to its rewards."""
    n = min(FEW, len(examined.rows))
    frozen: list[Video] = []
    for row in examined.rows[:n]:
        frames = examined.subject.frames(examined.root / row.video.path)
        frozen.append(np.repeat(frames[:1], len(frames), axis=0))
    found = examined.subject.score(frozen, [row.prompt for row in examined.rows[:n]])
    change = ((found - examined.base[:n]) / examined.spread).mean(axis=0)
    figures = dict(zip(examined.keys, change.tolist(), strict=True))
    told = ", ".join(f"{key} {value:+.2f}" for key, value in figures.items())
    sentence = f"Clips that stop at their first frame change by {told} standard deviations."
    return Probe("frozen_clip", "less motion quality", told, Status.INFORMATION, sentence, figures)


def probe_frame_rate(examined: Examined) -> Probe:
    """How much scores move when clips are sampled at another rate: they are valid at one only."""
    subject, n = examined.subject, min(FEW, len(examined.rows))
    other = subject.fps / 2

    def slower(video: Path) -> Any:
        return subject.read_at(video, other)

    found = subject.score(
        examined.files[:n], [row.prompt for row in examined.rows[:n]], read=slower
    )
    change = (np.abs(found - examined.base[:n]) / examined.spread).mean(axis=0)
    figures = dict(zip(examined.keys, change.tolist(), strict=True))
    told = ", ".join(f"{key} {value:.2f}" for key, value in figures.items())
    sentence = (
        f"At {other:g} instead of {subject.fps:g} frames per second scores move by {told} "
        "standard deviations on average; calibration holds at the training rate only."
    )
    return Probe("frame_rate", "scores move", told, Status.INFORMATION, sentence, figures)


def probe_shortcuts(examined: Examined) -> Probe:
    """Whether rewards follow length, picture size or file size more than people do."""
    name = "shortcuts"
    expected = f"|correlation| below {SHORTCUT}, or not {MORE_THAN_PEOPLE} above that of people"
    figures: dict[str, float] = {}
    found: list[str] = []
    for what, values in _properties(examined).items():
        step = values[examined.a] - values[examined.b]
        for d, key in enumerate(examined.keys):
            ours, theirs = _follow(examined, step, d)
            if ours is None:
                continue
            figures[f"{what}/{key}"] = ours
            if theirs is not None:
                figures[f"{what}/{key}/people"] = theirs
            if abs(ours) >= SHORTCUT and abs(ours) >= abs(theirs or 0.0) + MORE_THAN_PEOPLE:
                told = "" if theirs is None else f", people {theirs:+.2f}"
                found.append(f"{key} follows {what} ({ours:+.2f}{told})")
    if not figures:
        return not_asked(
            name, expected, "The clips are equal in length, picture size and file size."
        )
    worst = max(abs(value) for name, value in figures.items() if not name.endswith("/people"))
    sentence = (
        f"Possible shortcut: {'; '.join(found)}."
        if found
        else f"No reward follows a property of the file more than people do (most: {worst:.2f})."
    )
    return Probe(name, expected, f"{worst:.2f}", status(not found), sentence, figures)


PROBES: Final[tuple[Callable[[Examined], Probe], ...]] = (
    probe_prompt_swap,
    probe_shuffled_prompts,
    probe_same_clip_twice,
    probe_swapped_sides,
    probe_black_clip,
    probe_shortcuts,
    probe_noise_clip,
    probe_frozen_clip,
    probe_frame_rate,
)


def _fall(examined: Examined, moved: Rewards, d: int) -> tuple[float, float, float] | None:
    """Accuracy without ties with the right and with shuffled prompts, and the p-value between."""
    valid = examined.valid[:, d] & (examined.preference[:, d] != 0)
    if valid.sum() < DECIDED:
        return None
    said = examined.preference[valid, d]
    right, other = (
        (rewards[examined.a] - rewards[examined.b])[valid, d] for rewards in (examined.base, moved)
    )
    clusters = [prompt for prompt, kept in zip(examined.prompts, valid, strict=True) if kept]
    between = compare(said, right, other, clusters)
    first, second = accuracy_without_ties(said, right), accuracy_without_ties(said, other)
    if first is None or second is None or between is None:
        return None
    return first, second, between.p_value


def _told_fall(key: str, right: float, shuffled: float, p_value: float) -> str:
    noise = "" if p_value < 0.05 else ", within noise"
    return f"{key} {right:.3f} to {shuffled:.3f} (p {p_value:.2g}{noise})"


def _properties(examined: Examined) -> dict[str, Rewards]:
    """What a file shows without being watched: [R] each."""
    files = [examined.root / row.video.path for row in examined.rows]
    seconds = [row.video.num_frames / row.video.fps for row in examined.rows]
    return {
        "length": np.array(seconds),
        "picture size": np.array([_picture_size(file) for file in files], dtype=float),
        "file size": np.array([file.stat().st_size for file in files], dtype=float),
    }


def _picture_size(file: Path) -> int:
    try:
        with av.open(str(file)) as container:
            stream = container.streams.video[0]
            return int(stream.width * stream.height)
    except (av.error.FFmpegError, IndexError, OSError) as error:
        raise FormatError(f"the clip cannot be read: {error}", path=file) from None


def _follow(examined: Examined, step: Rewards, d: int) -> tuple[float | None, float | None]:
    """Rank correlation of a property's difference with reward differences, and with labels."""
    gap = examined.base[examined.a, d] - examined.base[examined.b, d]
    valid = examined.valid[:, d]
    return spearman(step, gap), spearman(step[valid], examined.preference[valid, d])
