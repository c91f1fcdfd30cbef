"""What can be wrong with a clip, in a sentence."""

from formats.errors import FormatError


class ClipUnreadableError(FormatError):
    """A clip is missing, broken or too short to be measured."""
