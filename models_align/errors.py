"""Errors of the alignment package that speak to a person."""

from formats.errors import FormatError
from formats.supervised import BadConfigError


class GeneratorNotFoundError(BadConfigError):
    """The generator that a run names is not on this machine, or is not one that we can load."""


class UnusableClipError(BadConfigError):
    """A clip does not have the size or length that the generator needs."""


class WatchedPromptsError(BadConfigError):
    """The prompts that a run is to watch are its own training prompts, or too few of them."""


class OtherBaseError(FormatError):
    """An adapter is put on a generator that it was not trained on."""


class PromptTooLongError(BadConfigError):
    """A prompt has more tokens than the text encoder of the generator reads."""


class OtherLatentsError(FormatError):
    """Latents are not of the autoencoder or the size that the generator has."""
