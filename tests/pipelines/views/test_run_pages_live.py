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


def test_the_form_says_what_is_known_as_it_is_filled_in(
    page: Any, live_server: Any, mia: Any
) -> None:
    campaign = make_campaign(pairs=2)
    _log_in(page, mia, live_server.url)
    page.goto(f"{live_server.url}/admin/pipelines/run/add/?kind=snapshot")
    page.locator(".forecast dd.is-bad", has_text="No worker is connected").wait_for()
    page.fill("textarea", '{"campaign": "nobody knows it"}')
    page.locator(".forecast", has_text="there is no campaign 'nobody knows it'").wait_for()
    page.fill("textarea", f'{{"campaign": {campaign.pk}}}')
    page.locator(".forecast dd", has_text="no run of this kind has ended here yet").wait_for()
    assert not Run.objects.exists()


def test_the_picture_of_a_chain_and_the_count_of_notices_are_live(
    page: Any, live_server: Any, mia: Any
) -> None:
    from pipelines.starting import start_run

    campaign = make_campaign(pairs=2)
    first = start_run("snapshot", {"campaign": campaign.pk}, user=mia, name="First")
    start_run("export", {}, {"snapshot": first}, user=mia, name="Second")
    _log_in(page, mia, live_server.url)
    page.goto(f"{live_server.url}/runs/{first.pk}/chain")
    page.locator('.chain-box.is-here[data-state="queued"]').wait_for()
    assert page.locator(".chain-box").count() == 2
    play(first)
    page.locator('.chain-box.is-here[data-state="succeeded"]', has_text="succeeded").wait_for()
    assert page.locator("[data-unread]").is_hidden()  # the last run of a chain tells
    play(Run.objects.get(name="Second"))
    page.locator("[data-unread]", has_text="1").wait_for()


def test_each_process_has_its_log(page: Any, live_server: Any, mia: Any) -> None:
    from pipelines.starting import start_run

    campaign = make_campaign(pairs=2)
    run = start_run("snapshot", {"campaign": campaign.pk}, user=mia)
    folder = launching.run_dir(run)
    folder.root.mkdir(parents=True, exist_ok=True)
    folder.log_file.write_text("\x1b[31mthe first\x1b[0m process\n")
    folder.log_of(1).write_text("the second process\n")
    _log_in(page, mia, live_server.url)
    page.goto(f"{live_server.url}/runs/{run.pk}/")
    page.locator("[data-log]", has_text="the first process").wait_for()
    page.select_option("[data-ranks]", "1")
    page.locator("[data-log]", has_text="the second process").wait_for()
    assert "the first" not in page.locator("[data-log]").inner_text()
    assert page.locator("[data-log-file]").get_attribute("href").endswith("/log-1.txt")
