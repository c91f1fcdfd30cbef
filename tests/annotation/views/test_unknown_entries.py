"""An entry of a body that nobody reads is refused with its name: a typing mistake is no wish."""

import pytest
from django.test import Client


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("post", "/api/campaigns/{c}/gold", {"knd": "gold"}),
        ("post", "/api/campaigns/{c}/gold/promotable", {"triplet": 1}),
        ("post", "/api/campaigns/{c}/members", {"usernames": [], "rolle": "x"}),
        ("put", "/api/people/{u}/active", {"activ": True}),
        ("post", "/api/invitations", {"max_use": 3}),
        ("post", "/api/people", {"table": ""}),
        ("put", "/api/campaigns/{c}/guideline/draft", {"text": {}}),
        ("post", "/api/campaigns/{c}/guidelines", {"maior": True}),
    ],
)
def test_the_unknown_entry_is_named(lee, alice, make_campaign, method, path, body):
    browser = Client()
    browser.force_login(lee)
    address = path.format(c=make_campaign().pk, u=alice.pk)
    answer = getattr(browser, method)(address, body, content_type="application/json")
    assert answer.status_code == 400, (address, answer.content)
    unknown = sorted(set(body) - {"usernames"})[0]
    assert f"There is no entry {unknown!r} here" in answer.json()["error"]
