"""What can go wrong in annotation, each as one sentence for the person who sees it.

`status` is what the REST door answers, `code` the word for machines.
"""

from typing import Any


class AnnotationError(Exception):
    status = 400
    code = "refused"

    def __init__(self, message: str, **details: Any):
        self.message = message
        self.details = details
        super().__init__(message)


class NotAllowed(AnnotationError):
    """The person may not do this."""

    status = 403
    code = "not_allowed"


class ForeignLease(NotAllowed):
    """The pair was given to somebody else; the browser keeps the vote for its owner."""

    code = "foreign_lease"


class NotFound(AnnotationError):
    status = 404
    code = "not_found"


class LeaseExpired(AnnotationError):
    """The time for a pair has run out. A vote on it is still taken."""

    status = 410
    code = "lease_expired"


class VoteConflict(AnnotationError):
    """Another vote stands under this key, or the vote has changed since it was read."""

    status = 409
    code = "conflict"


class BadVote(AnnotationError):
    """The vote does not fit what was shown or asked."""

    status = 422
    code = "bad_vote"


class BadFlag(AnnotationError):
    """The flag names a kind or a side that there is not."""

    status = 422
    code = "bad_flag"


class Unreadable(AnnotationError):
    """The request body is not what the door expects."""

    status = 400
    code = "unreadable"


class CampaignError(AnnotationError):
    """A campaign cannot be made or changed like this."""

    status = 422
    code = "bad_campaign"


class MediaError(AnnotationError):
    """A clip is missing, unreadable or refused."""

    status = 422
    code = "bad_clip"


class ImportRefused(AnnotationError):
    """A file to import is not as expected; nothing was written."""

    status = 422
    code = "bad_file"


class BadProfile(AnnotationError):
    """A setting of a person that cannot be."""

    status = 422
    code = "bad_profile"


class BadAccount(AnnotationError):
    """An account, an invitation or a link that cannot be made or used like this."""

    status = 422
    code = "bad_account"


class BadGuideline(AnnotationError):
    """A guideline that cannot be published or accepted like this."""

    status = 422
    code = "bad_guideline"
