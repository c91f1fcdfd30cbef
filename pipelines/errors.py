"""Errors of the pipelines: one sentence for the person who sees it."""


class PipelineError(Exception):
    """Something that was asked for cannot be done."""


class InvalidRunConfig(PipelineError):
    """The config or the inputs of a run would not work; nothing was written."""


class NotAllowed(PipelineError):
    """This person may not do that."""


class WrongState(PipelineError):
    """The run is not in a state in which that can be done."""


class ArtifactMissing(PipelineError):
    """A row promises bytes that are not there, or other ones."""


class Lost(PipelineError):
    """The run has another owner by now; this one writes nothing more."""


class StoreError(PipelineError):
    """The store of artifacts does not answer, or refuses."""


class BlobMissing(StoreError):
    """The store does not hold what a row says it holds."""
