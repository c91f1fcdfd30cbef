"""What a run is asked to watch, held against what it was given."""

from formats.supervised import BadConfigError, Supervised
from models_align.config import AlignmentConfig
from models_align.watching.settings import DIVERSITY, HACKING, OF_CLIPS

_JUDGES = ("reward_model", "judge")


def refuse_what_cannot_be(run: Supervised, config: AlignmentConfig) -> None:
    """BadConfigError for a wish that nothing would fulfil."""
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
    if DIVERSITY in config.stop_on and config.watch.clips_per_prompt < 2:
        raise BadConfigError(
            "stop_on 'diversity' needs watch.clips_per_prompt of 2 or more, got "
            f"{config.watch.clips_per_prompt}"
        )
