"""Tables of the runs. `Run` is the queue; who may write what stands in pipelines.lifecycle.

The legal changes of `Run.state` and a fence that never falls are kept by a trigger in the database
(pipelines.run_guard); the same trigger writes the RunEvent row of each change.
"""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone


class RunState(models.TextChoices):
    QUEUED = "queued", "queued"
    STARTING = "starting", "starting"
    RUNNING = "running", "running"
    PAUSING = "pausing", "pausing"
    PAUSED = "paused", "paused"
    CANCELLING = "cancelling", "cancelling"
    COMMITTING = "committing", "committing"
    SUCCEEDED = "succeeded", "succeeded"
    FAILED = "failed", "failed"
    CANCELLED = "cancelled", "cancelled"


# A worker owns the run and holds a lease on it.
ACTIVE = (
    RunState.STARTING,
    RunState.RUNNING,
    RunState.PAUSING,
    RunState.CANCELLING,
    RunState.COMMITTING,
)
# The run will not move by itself any more.
ENDED = (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)


class Want(models.TextChoices):
    """What people want of a run; the supervisor obeys."""

    RUN = "run", "run"
    PAUSE = "pause", "pause"
    CANCEL = "cancel", "cancel"


LOWEST_PRIORITY, HIGHEST_PRIORITY = -100, 100


class QueueName(models.TextChoices):
    DEFAULT = "default", "default"
    IO = "io", "io"  # much to read, decode and write, little to compute
    GPU = "gpu", "gpu"


class GroupKind(models.TextChoices):
    LOOP = "loop", "loop"
    COMPARISON = "comparison", "comparison"
    RETEST = "retest", "human re-test"
    EVALUATION = "evaluation", "evaluation"  # generators or clips on the prompts of a suite


class LoopGroup(models.Model):
    """Runs that belong together: one way from votes to a report, or settings that are compared.

    `config` is what a comparison was started with; that of a loop is read back from its runs.
    """

    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=16, choices=GroupKind, default=GroupKind.LOOP)
    config = models.JSONField(default=dict, blank=True)
    campaign = models.ForeignKey(
        "annotation.Campaign", null=True, blank=True, on_delete=models.PROTECT, related_name="loops"
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.name


class Run(models.Model):
    """One execution of one step."""

    kind = models.CharField(max_length=40)
    name = models.CharField(max_length=200, blank=True)
    config = models.JSONField()
    config_sha = models.CharField(max_length=64)
    queue = models.CharField(max_length=16, choices=QueueName, default=QueueName.DEFAULT)
    # What the labels of its worker must give, as {"gpu_memory": 40}; pipelines.labels says how.
    needs = models.JSONField(default=dict, blank=True)
    group = models.ForeignKey(
        LoopGroup, null=True, blank=True, on_delete=models.PROTECT, related_name="runs"
    )

    state = models.CharField(max_length=16, choices=RunState, default=RunState.QUEUED)
    want = models.CharField(max_length=16, choices=Want, default=Want.RUN)
    priority = models.SmallIntegerField(default=0)  # among queued runs the higher one goes first
    fence = models.BigIntegerField(default=0)  # one more with each claim; older ones write nothing
    attempt = models.PositiveIntegerField(
        default=0
    )  # failures of its own so far, this one included
    max_attempts = models.PositiveIntegerField(default=3)
    not_before = models.DateTimeField(null=True, blank=True)  # back-off
    # What the next attempt does otherwise than the config says; retry.json of the run directory.
    retry = models.JSONField(default=dict, blank=True)
    owner = models.CharField(max_length=200, blank=True)  # host:pid:start time of the worker
    lease_until = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)

    step = models.PositiveBigIntegerField(default=0)
    total = models.PositiveBigIntegerField(default=0)
    stage = models.CharField(max_length=100, blank=True)
    progress_at = models.DateTimeField(null=True, blank=True)

    reason = models.CharField(max_length=40, blank=True)  # a short word for machines
    message = models.TextField(blank=True)  # a sentence for people
    summary = models.JSONField(default=dict, blank=True)  # Outcome.summary: figures for the page

    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="runs"
    )
    nonce = models.CharField(max_length=64, null=True, blank=True)  # noqa: DJ001 - null is "none given", and unique
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                name="run_active_has_lease",
                condition=Q(state__in=ACTIVE, lease_until__isnull=False)
                | (~Q(state__in=ACTIVE) & Q(lease_until__isnull=True)),
            ),
            models.CheckConstraint(name="run_state_known", condition=Q(state__in=RunState.values)),
            models.CheckConstraint(name="run_want_known", condition=Q(want__in=Want.values)),
            models.CheckConstraint(name="run_queue_known", condition=Q(queue__in=QueueName.values)),
            models.CheckConstraint(
                name="run_priority_in_range",
                condition=Q(priority__gte=LOWEST_PRIORITY, priority__lte=HIGHEST_PRIORITY),
            ),
            models.UniqueConstraint(
                name="run_once_per_nonce",
                fields=["created_by", "nonce"],
                condition=Q(nonce__isnull=False),
            ),
        ]
        indexes = [
            models.Index(
                name="run_queued", fields=["queue", "-priority", "id"], condition=Q(state="queued")
            ),
            models.Index(name="run_leases", fields=["lease_until"], condition=Q(state__in=ACTIVE)),
        ]

    def __str__(self) -> str:
        return f"run {self.pk} ({self.name or self.kind})"

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED


class RunEvent(models.Model):
    """One change of state. Written by the database trigger alone, so raw SQL leaves its row too."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField()
    before = models.CharField(max_length=16)
    after = models.CharField(max_length=16)
    fence = models.BigIntegerField()
    note = models.TextField(blank=True)  # the run's reason at that moment

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.before} → {self.after}"


class Metric(models.Model):
    """One value at one step. A resumed run replaces the lost tail: the newer fence wins."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="metrics")
    name = models.CharField(max_length=100)
    step = models.BigIntegerField()
    value = models.FloatField()
    fence = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(name="metric_once", fields=["run", "name", "step"])]

    def __str__(self) -> str:
        return f"{self.name}@{self.step} = {self.value}"


class Artifact(models.Model):
    """What a run left behind, verified. The row means that the bytes are there."""

    kind = models.CharField(max_length=20)  # a word of formats.outcome.OutputKind
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="artifacts")
    name = models.CharField(max_length=200, blank=True)
    path = models.CharField(
        max_length=500
    )  # relative to RUNS_ROOT: a file, or a folder with manifest.json
    sha256 = models.CharField(max_length=64)  # of the file, or of the folder's manifest.json
    meta = models.JSONField(default=dict, blank=True)
    code = models.CharField(max_length=100, blank=True)  # the commit of the code that made it
    bytes = models.BigIntegerField(default=0)
    stored = models.BooleanField(default=False)  # its files are in the store, each a StoredFile
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(name="artifact_once", fields=["run", "kind", "path"])
        ]

    def __str__(self) -> str:
        return self.name or f"{self.kind} of run {self.run_id}"


class BaseModel(models.Model):
    """A pretrained model that an operator allowed. The web accepts row ids only, never a path."""

    class Role(models.TextChoices):
        VLM = "vlm", "vision-language model (reward model backbone)"
        GENERATOR = "generator", "video generator"

    name = models.CharField(max_length=200, unique=True)
    role = models.CharField(max_length=16, choices=Role)
    source = models.CharField(max_length=500)  # an id of the hub, or an absolute folder
    revision = models.CharField(max_length=100, blank=True)
    sha256 = models.CharField(
        max_length=64, blank=True
    )  # of the folder's manifest.json, if it has one
    artifact = models.ForeignKey(
        Artifact, null=True, blank=True, on_delete=models.PROTECT, related_name="base_models"
    )

    def __str__(self) -> str:
        return self.name

    @property
    def place(self) -> str:
        """What a trainer loads: the folder, or the public id at its pinned commit."""
        public = self.revision and not self.source.startswith("/")
        return f"{self.source}@{self.revision}" if public else self.source


class ProposalState(models.TextChoices):
    PROPOSED = "proposed"
    APPROVED = "approved"
    REFUSED = "refused"


class BaseModelProposal(models.Model):
    """A public model that an ML engineer would like to use. A second person, an operator, decides.

    The web names public ids with their commit and nothing else: folders are registered by whoever
    has a shell on the host (`manage.py register_base_model`).
    """

    State = ProposalState

    name = models.CharField(max_length=200)
    role = models.CharField(max_length=16, choices=BaseModel.Role)
    source = models.CharField(max_length=200)
    revision = models.CharField(max_length=40)
    why = models.TextField()
    state = models.CharField(max_length=8, choices=ProposalState, default=ProposalState.PROPOSED)
    proposed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    proposed_at = models.DateTimeField(default=timezone.now)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    note = models.TextField(blank=True)
    base_model = models.OneToOneField(
        BaseModel, null=True, blank=True, on_delete=models.PROTECT, related_name="proposal"
    )

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=ProposalState.values), name="proposal_state_is_known"
            ),
            # Nobody decides alone, whatever door they come through.
            models.CheckConstraint(
                condition=Q(state=ProposalState.PROPOSED, decided_by=None)
                | Q(decided_by__isnull=False) & ~Q(state=ProposalState.PROPOSED),
                name="proposal_decided_by_somebody",
            ),
            models.CheckConstraint(
                condition=~Q(state=ProposalState.APPROVED, decided_by=F("proposed_by")),
                name="proposal_approved_by_a_second_person",
            ),
            models.UniqueConstraint(
                fields=["name"],
                condition=Q(state=ProposalState.PROPOSED),
                name="proposal_open_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.source})"


class RunInput(models.Model):
    """What plays a role in a run: an artifact, a base model, a file, or what a run will leave.

    With a producer, `artifact` stays empty until that run has succeeded; the claim fills it in.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="inputs")
    role = models.CharField(max_length=60)
    artifact = models.ForeignKey(
        Artifact, null=True, blank=True, on_delete=models.PROTECT, related_name="used_by"
    )
    base_model = models.ForeignKey(
        BaseModel, null=True, blank=True, on_delete=models.PROTECT, related_name="used_by"
    )
    producer = models.ForeignKey(
        Run, null=True, blank=True, on_delete=models.PROTECT, related_name="consumers"
    )
    producer_kind = models.CharField(max_length=20, blank=True)
    file = models.CharField(max_length=200, blank=True)  # relative to the run directory
    sha256 = models.CharField(max_length=64, blank=True)  # of `file`

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(name="input_once_per_role", fields=["run", "role"]),
            models.CheckConstraint(
                name="input_is_one_thing",
                condition=(
                    Q(base_model__isnull=False, artifact=None, producer=None, file="")
                    | (Q(base_model=None, artifact=None, producer=None) & ~Q(file=""))
                    | Q(base_model=None, artifact__isnull=False, file="")
                    | (Q(base_model=None, producer__isnull=False, file="") & ~Q(producer_kind=""))
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role} of run {self.run_id}"


class PeopleWait(models.Model):
    """A run that counts votes starts when they are there, or when somebody says: count now.

    Without a campaign yet, the run that opens it has not ended.
    """

    run = models.OneToOneField(Run, on_delete=models.CASCADE, related_name="people_wait")
    campaign = models.ForeignKey(
        "annotation.Campaign", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    enough_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    enough_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"run {self.run_id} waits for people"


class WorkerHeartbeat(models.Model):
    """A worker that is alive: it writes `seen_at` every few seconds."""

    owner = models.CharField(max_length=200, unique=True)  # as in Run.owner
    host = models.CharField(max_length=150)
    pid = models.PositiveIntegerField()
    queues = models.JSONField(default=list)
    labels = models.JSONField(default=dict, blank=True)  # what it has: pipelines.labels
    node = models.CharField(max_length=200, blank=True)  # its name among Celery workers
    slots = models.PositiveIntegerField(default=1)
    seen_at = models.DateTimeField()
    # Processes of ended runs that could not be killed: the kernel holds them, the host is not well.
    stuck = models.JSONField(default=list, blank=True)
    run = models.ForeignKey(Run, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")

    def __str__(self) -> str:
        return f"{self.host}, process {self.pid}"


class Suite(models.Model):
    """A list of prompts that generators are compared on, with the way to score their clips.

    `scoring` is a ScoringWay (pipelines.suites.scoring); reward models that judge are SuiteJudge
    rows. Prompts never change; how they are scored may.
    """

    name = models.CharField(max_length=100, unique=True)
    title = models.CharField(max_length=200, blank=True)
    source = models.CharField(max_length=300, blank=True)  # the name of the file it came from
    sha256 = models.CharField(max_length=64, blank=True)  # of that file
    scoring = models.JSONField(default=dict, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.title or self.name


class SuitePrompt(models.Model):
    suite = models.ForeignKey(Suite, on_delete=models.CASCADE, related_name="prompts")
    position = models.PositiveIntegerField()
    text = models.TextField()
    short_text = models.TextField(blank=True)
    translations = models.JSONField(default=dict, blank=True)  # {"zh": …}
    category = models.CharField(max_length=100, blank=True)
    split = models.CharField(max_length=20, default="test")
    image = models.ForeignKey(
        "annotation.ReferenceImage",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="What an image-to-video generator starts from.",
    )

    class Meta:
        ordering = ["suite", "position"]
        constraints = [
            models.UniqueConstraint(name="suite_position_once", fields=["suite", "position"])
        ]

    def __str__(self) -> str:
        return self.short_text or self.text


class SuiteJudge(models.Model):
    """A reward model that scores what is made on a suite, under the name that figures carry."""

    suite = models.ForeignKey(Suite, on_delete=models.CASCADE, related_name="judges")
    name = models.CharField(max_length=30)
    reward_model = models.ForeignKey(Artifact, on_delete=models.PROTECT, related_name="+")
    backbone = models.ForeignKey(
        BaseModel, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(name="suite_judge_once", fields=["suite", "name"])]

    def __str__(self) -> str:
        return self.name


class Blob(models.Model):
    """Bytes under their hash in the store. The row is there before the bytes, and for some time
    after them.

    Who wants a blob says so here before it looks into the store; who would delete one claims it
    here first (`doomed_at`). Both are conditional UPDATEs, so they never pass one another unseen.
    """

    sha256 = models.CharField(max_length=64, primary_key=True)
    bytes = models.BigIntegerField()
    generation = models.PositiveIntegerField(default=0)  # part of the key; see pipelines.store
    wanted_at = models.DateTimeField()
    wanted_by = models.ForeignKey(
        Run, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    doomed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(name="blob_age", fields=["wanted_at"])]

    def __str__(self) -> str:
        return self.sha256[:12]


class StoredFile(models.Model):
    """One file of an artifact, or a file that was given to a run, and the blob that holds it."""

    artifact = models.ForeignKey(
        Artifact, null=True, blank=True, on_delete=models.CASCADE, related_name="files"
    )
    given = models.ForeignKey(
        RunInput, null=True, blank=True, on_delete=models.CASCADE, related_name="stored_files"
    )
    name = models.CharField(max_length=500)  # below the folder of the artifact; of one file its own
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="files")

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(name="stored_file_once", fields=["artifact", "name"]),
            models.CheckConstraint(
                name="stored_file_of_one_thing",
                condition=Q(artifact=None, given__isnull=False)
                | Q(artifact__isnull=False, given=None),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class NoticeWish(models.Model):
    """What a person wants to be told of; without a row, the defaults of its fields."""

    class Ends(models.TextChoices):
        CHAINS = "chains", "failures, and the last run of what I started together"
        ALL = "all", "every run of mine"
        FAILURES = "failures", "failures only"
        NONE = "none", "nothing"

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notice_wish"
    )
    ends = models.CharField(max_length=16, choices=Ends, default=Ends.CHAINS)
    by_mail = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"what {self.user} is told of"


class Notice(models.Model):
    """A run has ended, told to one person: in the pages, and by e-mail where it is wanted."""

    class Mail(models.TextChoices):
        NOT_WANTED = "not_wanted", "not wanted"
        WAITING = "waiting", "waiting"
        SENT = "sent", "sent"
        FAILED = "failed", "failed"

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notices"
    )
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="notices")
    state = models.CharField(max_length=16, choices=RunState)  # in which the run ended
    text = models.TextField(blank=True)  # what the run said at its end
    created_at = models.DateTimeField(default=timezone.now)
    read_at = models.DateTimeField(null=True, blank=True)
    mail = models.CharField(max_length=16, choices=Mail, default=Mail.NOT_WANTED)
    mail_tries = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(name="notice_unread", fields=["user"], condition=Q(read_at=None)),
            models.Index(name="notice_mail", fields=["id"], condition=Q(mail="waiting")),
        ]

    def __str__(self) -> str:
        return f"{self.run} {self.state}"


class Alert(models.Model):
    """Something that an operator should see to, from the first look that saw it to the first that
    did not. Written by pipelines.alerts alone."""

    key = models.CharField(max_length=40)  # the rule
    about = models.CharField(max_length=200)  # what it is about: a queue, a run, a host
    message = models.TextField()
    advice = models.TextField()
    since = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-since", "-id"]
        constraints = [
            models.UniqueConstraint(
                name="alert_stands_once", fields=["key", "about"], condition=Q(ended_at=None)
            )
        ]

    def __str__(self) -> str:
        return f"{self.key}: {self.about}"
