"""How much the clips of one prompt differ between seeds, before and after: from pixels, no judge.

An aligned generator that has found one picture that its reward likes draws it for every seed. A
win rate does not see that.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from annotation.errors import MediaError
from annotation.media import bounded
from annotation.media.sketches import Sketch, sketch_of, spread
from formats.errors import FormatError
from formats.records import GenerationRecord, VideoRef
from pipelines.changes import Change, change_of
from pipelines.pairs.looks import StoredClips
from pipelines.start_images import prompt_key

DIVERSITY: Final = "diversity"
MOST_PROMPTS: Final = 100  # by the hash of the prompt: enough for a narrow interval
MOST_SEEDS: Final = 4  # of each

Look = Callable[[VideoRef], Sketch]
Seeds = Mapping[int, tuple[GenerationRecord, GenerationRecord]]  # seed -> base, candidate


@dataclass(frozen=True, slots=True)
class Diversity:
    """`why_not`: in a sentence, where there is no figure. `unreadable`: clips left out."""

    change: Change | None
    why_not: str = ""
    unreadable: int = 0


def diversity_of(
    base: Iterable[GenerationRecord],
    candidate: Iterable[GenerationRecord],
    look: Look,
    *,
    seed: int = 0,
) -> Diversity:
    """The mean spread of prompts on both sides, over the seeds that both have."""
    prompts = _shared(base, candidate)
    several = {prompt: seeds for prompt, seeds in prompts.items() if len(seeds) > 1}
    if not several:
        return Diversity(None, _why_not(prompts))
    before, after, used, unreadable = [], [], [], 0
    for prompt in _shown(several):
        sides, bad = _looked_at(several[prompt], look)
        unreadable += bad
        if sides is None:
            continue
        used.append(prompt)
        before.append(spread(sides[0]))
        after.append(spread(sides[1]))
    if not used:
        return Diversity(None, "None of the clips could be decoded.", unreadable)
    return Diversity(change_of(used, before, after, seed=seed), unreadable=unreadable)


def _why_not(prompts: Mapping[str, Seeds]) -> str:
    if not prompts:
        return "Base and candidate share no prompt and seed."
    return (
        "There is one clip per prompt: how different the clips of one prompt are can only be told "
        "of two or more (clips_per_prompt)."
    )


def _shared(
    base: Iterable[GenerationRecord], candidate: Iterable[GenerationRecord]
) -> dict[str, Seeds]:
    known = {(_prompt(clip), clip.video.seed or 0): clip for clip in base}
    found: dict[str, dict[int, tuple[GenerationRecord, GenerationRecord]]] = defaultdict(dict)
    for clip in candidate:
        prompt, seed = _prompt(clip), clip.video.seed or 0
        if (partner := known.get((prompt, seed))) is not None:
            found[prompt][seed] = (partner, clip)
    return dict(found)


def _prompt(clip: GenerationRecord) -> str:
    return prompt_key(clip.prompt, clip.image)


def _shown(prompts: Iterable[str]) -> list[str]:
    """Some of them by their hash, always the same: nobody chose the ones that differ most."""
    by_hash = sorted(prompts, key=lambda each: hashlib.sha256(each.encode()).digest())
    return by_hash[:MOST_PROMPTS]


def _looked_at(seeds: Seeds, look: Look) -> tuple[tuple[list[Sketch], list[Sketch]] | None, int]:
    """Sketches of both sides for seeds of which both can be decoded; how many clips cannot."""
    sides: tuple[list[Sketch], list[Sketch]] = ([], [])
    unreadable = 0
    for seed in sorted(seeds)[:MOST_SEEDS]:
        found = []
        for clip in seeds[seed]:
            try:
                found.append(look(clip.video))
            except FormatError:
                unreadable += 1
        if len(found) == len(sides):
            for side, sketch in zip(sides, found, strict=True):
                side.append(sketch)
    return (sides if len(sides[0]) > 1 else None), unreadable


class Looks:
    """Looks at clips of the store; `between` is called before each, so that a run can be stopped.

    A stranger's file is opened in the bounded child.
    """

    def __init__(
        self, clips: Iterable[GenerationRecord], between: Callable[[], None] = lambda: None
    ) -> None:
        self._store = StoredClips(clip.video.sha256 for clip in clips)
        self._between = between

    def __call__(self, video: VideoRef) -> Sketch:
        self._between()
        path, ours = self._store.opened(video)
        try:
            return sketch_of(path) if ours else bounded.shared().sketch(path)
        except MediaError as error:
            raise FormatError(f"clip {video.id!r} cannot be looked at: {error.message}") from error
