"""Which checkpoint is the last good one, so that it is kept and found again."""

from collections.abc import Iterable
from pathlib import Path

from formats.checkpoints import Checkpoint, checkpoints, verify_folder
from formats.errors import FormatError


def newest_until(folder: Path, step: int) -> Checkpoint:
    """The newest checkpoint of this step or before whose hashes hold; FormatError without one."""
    for each in _until(folder, step):
        try:
            verify_folder(each.path)
        except FormatError as error:
            print(f"checkpoint {each.path.name} is not used: {error}", flush=True)
            continue
        return each
    raise FormatError(
        f"no whole checkpoint of step {step} or before is left, so nothing from before the alarm "
        "can be kept",
        path=folder,
    )


def worth_keeping(folder: Path, steps: Iterable[int]) -> list[Path]:
    """What `newest_until` would give for each of these steps, unverified."""
    found = [_until(folder, step)[:1] for step in set(steps)]
    return [each.path for newest in found for each in newest]


def _until(folder: Path, step: int) -> list[Checkpoint]:
    return [each for each in checkpoints(folder) if each.step <= step]
