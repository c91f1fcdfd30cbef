from pipelines.errors import PipelineError


class BackupError(PipelineError):
    """A backup cannot be made, read or restored; the sentence says what and what to do."""
