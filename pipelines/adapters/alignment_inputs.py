"""What an alignment run is given, held against itself before it is queued."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from formats.errors import FormatError
from formats.records import PairRecord, PromptRecord
from pipelines.errors import InvalidRunConfig
from pipelines.models import Artifact
from pipelines.pairs.files import refuse_contradicted
from pipelines.registry import path_of
from pipelines.splitting import TRAIN
from pipelines.start_images import prompt_key

_JUDGES: Final = ("reward_model", "judge")


def refuse_unfit(config: Mapping[str, Any], inputs: Mapping[str, object]) -> None:
    """InvalidRunConfig, one sentence. Pairs that a run is still to leave the trainer looks at."""
    refuse_contradicted(config, inputs)
    refuse_unfit_judges(inputs)
    if (given := inputs.get("watch_prompts")) is None:
        return
    prompts, pairs = cast(Sequence[PromptRecord], given), inputs.get("pairs")
    if len(prompts) < 2:
        raise InvalidRunConfig(
            f"watching needs two held-out prompts at least, got {len(prompts)}: one has no interval"
        )
    if isinstance(pairs, Artifact):
        refuse_trained_prompts(prompts, pairs)


def refuse_unfit_judges(inputs: Mapping[str, object]) -> None:
    """An independent judge is another model, and every judge needs clips to judge."""
    if "judge" in inputs and inputs["judge"] == inputs.get("reward_model"):
        raise InvalidRunConfig(
            "the judge is the reward model itself; an independent judge is one that was not used "
            "to build the pairs"
        )
    if "watch_prompts" in inputs:
        return
    for role in _JUDGES:
        if role in inputs:
            raise InvalidRunConfig(
                f"the {role} judges clips of watch_prompts while the run trains, and it has none"
            )


def refuse_trained_prompts(prompts: Sequence[PromptRecord], pairs: Artifact) -> None:
    """Watched prompts are held out: what is trained on says nothing about other prompts."""
    path = path_of(pairs)
    try:
        records = PairRecord.read(path / PairRecord.FILE if path.is_dir() else path)
    except (FormatError, OSError):
        return  # The trainer names what is wrong with the file.
    trained = {prompt_key(each.prompt, each.image) for each in records if each.split == TRAIN}
    for each in prompts:
        if prompt_key(each.text, each.image) in trained:
            raise InvalidRunConfig(
                f"the watched prompt {each.text[:80]!r} is one of the training prompts; choose "
                "the validation prompts, or a suite"
            )
