"""In a real browser: a run is started in the admin and watched to its end."""

from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from pipelines import launching, lifecycle
from pipelines.models import Run, RunState
from pipelines.progress import Progress
from tests.pipelines.loop_world import make_campaign, play

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


def _log_in(page: Any, user: Any, site: str) -> None:
    client = Client()
    client.force_login(user)
    value = client.cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": site}])


def test_an_engineer_starts_a_run_in_the_admin_and_watches_it_finish(
    page: Any, live_server: Any, mia: Any
) -> None:
    campaign = make_campaign(pairs=2)
    _log_in(page, mia, live_server.url)
    page.goto(f"{live_server.url}/admin/pipelines/run/add/?kind=snapshot")
    assert campaign.name in page.locator("textarea").input_value()
    page.fill("input[name=name]", "Watched")
    page.click("text=Start this run")
    page.wait_for_url("**/runs/*/")
    page.locator("[data-field=words]", has_text="No worker serves the queue default").wait_for()
    play(Run.objects.get())
    page.locator("[data-field=state]", has_text="succeeded").wait_for()
    page.locator("h2", has_text="Result").wait_for()
    assert page.locator("table", has_text="labels").count() >= 1


def test_curves_and_log_grow_while_the_run_goes_on(page: Any, live_server: Any, mia: Any) -> None:
    from pipelines.starting import start_run

    campaign = make_campaign(pairs=2)
    queued = start_run("snapshot", {"campaign": campaign.pk}, user=mia, name="Growing")
    run = lifecycle.claim([queued.queue], "h:1:2", run_id=queued.pk)
    assert run is not None
    folder = launching.prepare(run)
    lifecycle.move(run, RunState.RUNNING)
    progress = Progress(run, folder)
    _log_in(page, mia, live_server.url)
    page.goto(f"{live_server.url}/runs/{run.pk}/")
    for step in (1, 2, 3):
        folder.log_metrics(step, 4, {"loss": 1 / step}, stage="training")
    progress.advance()
    folder.log_file.write_text("<img src=x onerror=alert(1)> printed\n")
    page.locator("figure.curve", has_text="0.3333").wait_for()
    page.locator("[data-field=count]", has_text="3 of 4").wait_for()
    log = page.locator("[data-log]", has_text="<img src=x onerror=alert(1)> printed")
    log.wait_for()
    assert page.locator("[data-log] img").count() == 0
    page.click("text=Cancel this run")
    page.locator("[data-field=state]", has_text="cancelling").wait_for()
    assert lifecycle.see(run)
    assert run.want == "cancel"
