"""Who judges what: campaigns, clips, triplets, and the votes on them.

Who writes: `campaigns`, `importing` and `media` write what is shown, `assigning` leases slots,
`voting` alone writes votes and settles triplets, `probes` writes probes and their answers, `audit`
the audit log.
"""

from annotation.models.assignments import (
    Lease,
    Skip,
    Slot,
    SlotState,
    Triplet,
    TripletQuerySet,
    TripletState,
)
from annotation.models.campaigns import (
    Campaign,
    CampaignKind,
    CampaignQuerySet,
    CampaignState,
    Cursor,
    Dimension,
    DimensionSet,
    Showing,
    Stage,
)
from annotation.models.clips import (
    Generator,
    Prompt,
    PromptQuerySet,
    ReferenceImage,
    Video,
    prompt_sha256,
)
from annotation.models.custody import AuditEntry, Erasure
from annotation.models.foreign import ForeignAnnotator, ForeignVote
from annotation.models.guidelines import Guideline, GuidelineAcceptance, GuidelineDraft
from annotation.models.people import Consent, Invitation, InvitedRole, Language, Profile
from annotation.models.quality import (
    Adjudication,
    Flag,
    FlagKind,
    FlagState,
    Probe,
    ProbeAnswer,
    ProbeKind,
    ProbeLease,
    ProbeLeaseState,
    SplitReason,
)
from annotation.models.sessions import Session
from annotation.models.tokens import ApiToken, StoredAnswer
from annotation.models.votes import (
    Consensus,
    ConsensusSource,
    Judgement,
    Outbox,
    Vote,
    VoteQuerySet,
    VoteState,
    Word,
)

__all__ = [
    "Adjudication",
    "ApiToken",
    "AuditEntry",
    "Campaign",
    "CampaignKind",
    "CampaignQuerySet",
    "CampaignState",
    "Consensus",
    "ConsensusSource",
    "Consent",
    "Cursor",
    "Dimension",
    "DimensionSet",
    "Erasure",
    "Flag",
    "FlagKind",
    "FlagState",
    "ForeignAnnotator",
    "ForeignVote",
    "Generator",
    "Guideline",
    "GuidelineAcceptance",
    "GuidelineDraft",
    "Invitation",
    "InvitedRole",
    "Judgement",
    "Language",
    "Lease",
    "Outbox",
    "Probe",
    "ProbeAnswer",
    "ProbeKind",
    "ProbeLease",
    "ProbeLeaseState",
    "Profile",
    "Prompt",
    "PromptQuerySet",
    "ReferenceImage",
    "Session",
    "Showing",
    "Skip",
    "Slot",
    "SlotState",
    "SplitReason",
    "Stage",
    "StoredAnswer",
    "Triplet",
    "TripletQuerySet",
    "TripletState",
    "Video",
    "Vote",
    "VoteQuerySet",
    "VoteState",
    "Word",
    "prompt_sha256",
]
