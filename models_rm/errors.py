"""What can go wrong with a reward model, each with one sentence for a person."""

from formats.errors import FormatError
from formats.supervised import BadConfigError


class ClipUnreadableError(FormatError):
    """A clip is missing or cannot be decoded."""


class BackboneMissingError(BadConfigError):
    """A backbone id or path that cannot be loaded."""


class CheckpointMismatchError(FormatError):
    """A reward-model folder that is damaged, or was made for something else."""
