"""Who is told that a run has ended: in the pages, and by e-mail where a person wants it.

A notice is written in the transaction that ends its run, so none is lost and none comes twice. The
workers send the e-mails, a few at a time, beside their other duties.
"""

import logging
from smtplib import SMTPException
from typing import Final

from django.conf import settings
from django.contrib.auth.models import User
from django.core.mail import send_mail
from django.db.models import F, QuerySet
from django.db.models.functions import Now
from django.urls import reverse

from annotation.permissions import Person
from pipelines.models import ENDED, Notice, NoticeWish, Run, RunInput, RunState

logger = logging.getLogger(__name__)
_TRIES: Final = 3
_LONGEST: Final = 2000  # of what the run said
_WORDS: Final = {
    RunState.SUCCEEDED: "is done",
    RunState.FAILED: "has failed",
    RunState.CANCELLED: "was cancelled",
}


# Writing.


def tell(run_id: int) -> Notice | None:
    """Write the notice of a run that has just ended, if its person wants one."""
    run = Run.objects.select_related("created_by__notice_wish").get(pk=run_id)
    user = run.created_by
    if user is None or not user.is_active or not _is_wanted(run, wish_of(user)):
        return None
    return Notice.objects.create(
        user=user,
        run=run,
        state=run.state,
        text=run.message[:_LONGEST],
        mail=Notice.Mail.WAITING if _by_mail(user) else Notice.Mail.NOT_WANTED,
    )


def wish_of(user: User) -> NoticeWish:
    """What a person wants; the defaults where they have not said."""
    found: NoticeWish | None = getattr(user, "notice_wish", None)
    return found or NoticeWish(user=user)


def _by_mail(user: User) -> bool:
    return bool(settings.TIEBREAK_SENDS_MAIL and user.email and wish_of(user).by_mail)


def _is_wanted(run: Run, wish: NoticeWish) -> bool:
    if run.state == RunState.CANCELLED and run.message == f"Cancelled by {wish.user.username}.":
        return False  # They know.
    if wish.ends == NoticeWish.Ends.ALL:
        return True
    if wish.ends == NoticeWish.Ends.NONE:
        return False
    if run.state == RunState.FAILED:
        return not _was_told(run)
    return wish.ends == NoticeWish.Ends.CHAINS and not _is_awaited(run)


def _was_told(run: Run) -> bool:
    """It failed for want of its inputs, and of the run that should have left them they know."""
    producers = Run.objects.filter(
        consumers__run=run, state=RunState.FAILED, created_by=run.created_by
    )
    return run.reason == "input_failed" and producers.exists()


def _is_awaited(run: Run) -> bool:
    """Another run of the same person goes on with what this one leaves: the last one tells."""
    rows = RunInput.objects.filter(producer=run, run__created_by=run.created_by)
    return rows.exclude(run__state__in=ENDED).exists()


# Reading.


def notices_of(user: User) -> QuerySet[Notice]:
    return Notice.objects.filter(user=user).select_related("run")


def unread(user: Person) -> int:
    if not isinstance(user, User):
        return 0
    return Notice.objects.filter(user=user, read_at=None).count()


def mark_read(user: User, notice_id: int | None = None) -> int:
    """All of a person's notices, or one of theirs; gives how many that were."""
    rows = Notice.objects.filter(user=user, read_at=None)
    if notice_id is not None:
        rows = rows.filter(pk=notice_id)
    return rows.update(read_at=Now())


def mark_read_of(user: User, run: Run) -> None:
    """Who looks at the page of a run has heard of its end. Only a look that finds some writes."""
    rows = Notice.objects.filter(user=user, run=run, read_at=None)
    if run.state in ENDED and rows.exists():
        rows.update(read_at=Now())


def wish(user: User, *, ends: str, by_mail: bool) -> None:
    """Keep what a person wants to be told of."""
    NoticeWish.objects.update_or_create(user=user, defaults={"ends": ends, "by_mail": by_mail})


# E-mail.


def send_one() -> bool:
    """Send one e-mail that waits; False: there was none. Any number of workers may call it.

    It counts as failed until it is sent: of a worker that dies in between nothing comes twice.
    """
    notice = Notice.objects.filter(mail=Notice.Mail.WAITING).select_related("run", "user").first()
    if notice is None:
        return False
    waiting = Notice.objects.filter(pk=notice.pk, mail=Notice.Mail.WAITING)
    if waiting.update(mail=Notice.Mail.FAILED, mail_tries=F("mail_tries") + 1) == 1:
        after = _sent(notice)
        Notice.objects.filter(pk=notice.pk).update(mail=after)
    return True


def _sent(notice: Notice) -> Notice.Mail:
    try:
        send_mail(subject(notice), body(notice), None, [notice.user.email])
    except (OSError, SMTPException) as error:
        logger.warning("notice %s was not sent: %s", notice.pk, error)
        again = notice.mail_tries + 1 < _TRIES
        return Notice.Mail.WAITING if again else Notice.Mail.FAILED
    return Notice.Mail.SENT


def words(notice: Notice) -> str:
    """What has happened, in a few words: a run of this name is done, has failed, was cancelled."""
    run = notice.run
    return f"{run.name or run.kind} (run {run.pk}) {_WORDS[RunState(notice.state)]}"


def subject(notice: Notice) -> str:
    # A name is what somebody typed: a line end in it would begin a header of its own.
    return " ".join(f"Tiebreak: {words(notice)}".split())


def body(notice: Notice) -> str:
    address = settings.TIEBREAK_SITE_URL + reverse("pipelines:run", args=[notice.run_id])
    choose = settings.TIEBREAK_SITE_URL + reverse("pipelines:notices")
    return "\n\n".join(
        part
        for part in (
            f"{words(notice)}.",
            notice.text,
            address,
            f"What you are told of is chosen at {choose}",
        )
        if part
    )
