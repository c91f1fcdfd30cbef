"""What can go wrong with a reward model, each with one sentence for a person."""

from formats.errors import FormatError
from formats.supervised import BadConfigError


class ClipUnreadableError(FormatError):
    """A clip is missing or cannot be decoded."""


class BackboneMissingError(BadConfigError):
    """A backbone id or path that cannot be loaded."""


class CheckpointMismatchError(FormatError):
    """A reward-model folder that is damaged, or was made for something else."""


class OtherLibrariesError(CheckpointMismatchError):
    """A reward model was made with versions of libraries that may give other scores."""


class FingerprintError(CheckpointMismatchError):
    """The same clip and prompt become another input than when the reward model was made."""


class FrameRateError(FormatError):
    """Frames that come slower than a reward model was trained to see them."""


class CompositionError(FormatError):
    """Reward models that cannot be one: they judge the same, or too little is said of them."""
