"""Errors of the alignment package that speak to a person."""

from formats.supervised import BadConfigError


class GeneratorNotFoundError(BadConfigError):
    """The generator that a run names is not on this machine, or is not one that we can load."""


class UnusableClipError(BadConfigError):
    """A clip does not have the size or length that the generator needs."""
