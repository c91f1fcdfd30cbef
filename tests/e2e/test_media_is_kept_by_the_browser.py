"""A clip that was fetched once is not fetched again: the second play costs no byte (M8)."""

from typing import Any

import pytest
from django.test import Client

from annotation.media.media_urls import signed_url
from annotation.views import media

pytestmark = pytest.mark.e2e
FETCH = "async url => (await (await fetch(url)).arrayBuffer()).byteLength"


@pytest.mark.promise("M8")
def test_the_second_play_asks_the_site_for_nothing(
    page: Any, live_server: Any, make_campaign: Any, alice: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    served = media._served

    def counted(request: Any, key: str, name: str, content_type: str) -> Any:
        asked.append(name)
        return served(request, key, name, content_type)

    monkeypatch.setattr(media, "_served", counted)
    campaign = make_campaign(1)
    client = Client()
    client.force_login(alice)
    session = client.cookies["sessionid"].value
    page.context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
    page.goto(f"{live_server.url}/annotate/{campaign.pk}/no-such-page")  # our origin, no clip on it
    url = signed_url(campaign.triplets.get().video_a_id, alice)
    sizes = [page.evaluate(FETCH, url) for _ in range(3)]
    assert sizes[0] > 500
    assert len(set(sizes)) == 1
    assert len(asked) == 1
