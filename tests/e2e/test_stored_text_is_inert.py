"""Text that somebody stored is shown and never does anything (RELIABILITY S6).

Every payload stands in a prompt, a model name, a campaign, a user name, a remark, a log line, the
name of a metric and the sentence of an error (`hostile_texts`). A browser opens the pages of all
roles and is asked whether anything ran, any dialog opened, or the policy had to stop something.
"""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from tests.e2e.hostile_texts import (
    PAYLOADS,
    USED,
    annotators,
    campaign_of,
    failed_run,
    vote_on_a_pair,
)
from tests.promises import counts

pytestmark = pytest.mark.e2e
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation",
  (event) => window.violations.push(event.violatedDirective + " " + event.blockedURI));
"""


@pytest.fixture
def users(transactional_db: None) -> list[Any]:
    return annotators()


@pytest.fixture
def stored(make_campaign: Callable[..., Any], users: list[Any]) -> Any:
    return campaign_of(make_campaign, users[:2])


@pytest.fixture
def run(stored: Any) -> Any:
    return failed_run()


class Visitor:
    """Opens pages and collects what should not have happened."""

    def __init__(self, page: Any) -> None:
        self.page, self.faults, self.seen = page, [], 0
        page.add_init_script(WATCH)
        page.on("dialog", lambda dialog: self._dialog(dialog))

    def _dialog(self, dialog: Any) -> None:
        if dialog.type != "beforeunload":
            self.faults.append(f"{self.page.url}: a dialog: {dialog.message}")
        dialog.accept()

    def open(self, path: str) -> str:
        answer = self.page.goto(path)
        assert answer.status == 200, (path, answer.status)
        self.page.wait_for_timeout(counts(50, 200, 500))  # what scripts fetch is drawn as well
        self.check(path)
        self.seen += 1
        text: str = self.page.content()
        return text

    def check(self, where: str) -> None:
        if self.page.evaluate("() => window.owned"):
            self.faults.append(f"{where}: it ran")
        for violation in self.page.evaluate("() => window.violations"):
            self.faults.append(f"{where}: the policy stopped {violation}")


PAGES = (
    "people/", "plan/", "quality/", "quality/gold/", "quality/flags/", "adjudicate/",
    "pay/", "guideline/",
)  # fmt: skip


@pytest.mark.promise("S6")
def test_nothing_that_was_stored_ever_runs(
    stored: Any, run: Any, users: list[Any], at_browser: Callable, olga: Any, figures: Any
) -> None:
    here = f"/campaigns/{stored.pk}"
    annotator = Visitor(at_browser(users[2]))
    for path in ("/", "/account/", f"{here}/me/", f"{here}/guideline/"):
        annotator.open(path)
    for _ in range(counts(2, 10, len(USED))):  # another pair each time
        annotator.open(f"/annotate/{stored.pk}/")
        annotator.page.wait_for_timeout(300)
        annotator.check("a pair")
        vote_on_a_pair(users[2], stored)

    staff = Visitor(at_browser(olga))
    shown = [staff.open(path) for path in _pages_of_staff(here, run)]
    there = USED[0][:20].replace("<", "&lt;").replace(">", "&gt;")
    assert sum(there in text for text in shown) >= 5
    assert annotator.faults + staff.faults == []
    figures("S6", payloads=len(USED), pages=annotator.seen + staff.seen, executions=0)


def _pages_of_staff(here: str, run: Any) -> list[str]:
    from django.contrib import admin
    from django.urls import reverse

    from annotation.views.dashboard import PAGES as FIGURES

    of_figures = [f"{here}/{name}/" for name in FIGURES if name != "dashboard"]
    lists = [
        reverse(f"admin:{table._meta.app_label}_{table._meta.model_name}_changelist")
        for table in admin.site._registry
    ]
    return [
        "/campaigns/", "/people/", "/audit/", "/people/erasures/", "/tokens/", f"{here}/",
        *of_figures, *(f"{here}/{page}" for page in PAGES),
        "/runs/", f"/runs/{run.pk}/", f"/loop/{run.group_id}/", "/comparisons/", "/notices/",
        f"/artifacts/{run.artifacts.get().pk}/", "/base-models/",
        "/admin/", *lists[: counts(5, 99, 99)], f"/admin/pipelines/run/{run.pk}/change/",
    ]  # fmt: skip


@pytest.mark.mutant("S6")
def test_a_page_that_does_not_escape_is_found_out(
    users: list[Any], live_server: Any, page: Any, olga: Any, settings: Any, monkeypatch: Any
) -> None:
    """The same visit where templates trust their texts and the policy lets scripts in."""
    from django.template.base import VariableNode

    plain = VariableNode.render

    def trusting(self: Any, context: Any) -> str:
        context.autoescape = False
        return plain(self, context)

    monkeypatch.setattr(VariableNode, "render", trusting)
    settings.CONTENT_SECURITY_POLICY = {"DIRECTIVES": {"script-src": ["'self'", "'unsafe-inline'"]}}
    client = Client()
    client.force_login(olga)
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}]
    )
    visitor = Visitor(page)
    page.goto(f"{live_server.url}/people/")
    page.wait_for_timeout(500)
    visitor.check("people")
    assert any("it ran" in fault or "a dialog" in fault for fault in visitor.faults)


@pytest.mark.promise("S6")
def test_no_page_allows_scripts_inside_itself(olga: Any, make_campaign: Callable) -> None:
    campaign = make_campaign(1)
    client = Client()
    client.force_login(olga)
    paths = ("/", "/campaigns/", f"/campaigns/{campaign.pk}/", "/runs/", "/admin/", "/api/docs/")
    for path in paths:
        policy = client.get(path)["Content-Security-Policy"]
        assert "unsafe-inline" not in policy
        assert "unsafe-eval" not in policy
        assert "default-src 'none'" in policy


def test_the_list_of_payloads_is_long_enough() -> None:
    assert len(set(PAYLOADS)) >= 25
