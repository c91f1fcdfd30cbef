"""What a run is asked to watch, held against what it was given."""

from collections.abc import Sequence
from typing import Final

from formats.records import ImageRef, PairRecord, PromptRecord
from formats.supervised import BadConfigError, Supervised
from models_align.config import AlignmentConfig
from models_align.errors import WatchedPromptsError
from models_align.watching.settings import DIVERSITY, HACKING, OF_CLIPS, WatchSettings

_JUDGES: Final = ("reward_model", "judge")


def refuse_what_cannot_be(run: Supervised, config: AlignmentConfig) -> None:
    """BadConfigError for a wish that nothing would fulfil; before anything is encoded."""
    watches = run.dir.has_input("watch_prompts")
    judges = [role for role in _JUDGES if run.dir.has_input(role)]
    if judges and not watches:
        raise BadConfigError(
            f"the input {judges[0]!r} judges clips of watch_prompts, and the run has none"
        )
    blind = [name for name in config.stop_on if name in OF_CLIPS]
    if blind and not watches:
        raise BadConfigError(
            f"stop_on {blind[0]!r} is seen on clips of watch_prompts, and the run has none"
        )
    if HACKING in config.stop_on and len(judges) < len(_JUDGES):
        raise BadConfigError(
            "stop_on 'hacking' needs the inputs reward_model (the training judge) and judge (an "
            "independent one)"
        )
    if watches:
        refuse_unfit(watched_prompts(run, config.watch), PairRecord.read(run.dir.input("pairs")))
    if DIVERSITY in config.stop_on and config.watch.clips_per_prompt < 2:
        raise BadConfigError(
            "stop_on 'diversity' needs watch.clips_per_prompt of 2 or more, got "
            f"{config.watch.clips_per_prompt}"
        )


def watched_prompts(run: Supervised, settings: WatchSettings) -> list[PromptRecord]:
    """Of those that the run was given, the first ones."""
    return PromptRecord.read(run.dir.input("watch_prompts"))[: settings.prompts or None]


def refuse_unfit(prompts: Sequence[PromptRecord], pairs: Sequence[PairRecord]) -> None:
    """WatchedPromptsError where one of the prompts is trained on, or there is no interval."""
    if len(prompts) < 2:
        raise WatchedPromptsError(
            f"watching needs two held-out prompts at least, got {len(prompts)}: one of them has no "
            "interval"
        )
    if len({each.id for each in prompts}) < len(prompts):
        raise WatchedPromptsError("two of the watched prompts have one id")
    trained = {_key(each.prompt, each.image) for each in pairs if each.split == "train"}
    for each in prompts:
        if _key(each.text, each.image) in trained:
            raise WatchedPromptsError(
                f"the watched prompt {each.text[:80]!r} is one of the training prompts; watch "
                "prompts of the validation split or of a suite"
            )


def _key(text: str, image: ImageRef | None) -> tuple[str, str]:
    return text, image.sha256 if image else ""
