"""The schema of the API: without warnings, true to what is answered, shown under the policy."""

import json
from typing import Any

import jsonschema
import pytest
from django.core.management import call_command
from django.test import Client

from annotation.campaigns import create_campaign

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]


def test_the_schema_is_valid_and_has_no_warning(tmp_path):
    target = tmp_path / "schema.yml"
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(target))
    assert "/api/campaigns/{campaign_id}/import:" in target.read_text()


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    from drf_spectacular.generators import SchemaGenerator

    found: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return json.loads(json.dumps(found))


def test_every_operation_has_a_summary_and_a_name_of_its_own(schema):
    operations = [
        (path, method, each)
        for path, methods in schema["paths"].items()
        for method, each in methods.items()
    ]
    names = [each["operationId"] for _, _, each in operations]
    assert len(set(names)) == len(names)
    assert [path for path, _, each in operations if not each.get("summary")] == ["/api/schema/"]


def test_a_program_may_log_in_by_token(schema):
    schemes = schema["components"]["securitySchemes"]
    assert any(each.get("scheme") == "bearer" for each in schemes.values())


def _answer_schema(schema: dict[str, Any], path: str, method: str, code: int) -> dict[str, Any]:
    content = schema["paths"][path][method]["responses"][str(code)]["content"]
    wanted = {**content["application/json"]["schema"], "components": schema["components"]}
    return dict(wanted)


def test_what_the_doors_of_leads_answer_is_what_the_schema_says(lee, make_campaign, schema):
    client = Client()
    client.force_login(lee)
    campaign = make_campaign(2)
    copy = create_campaign("copy", "videoalign")
    triplet = campaign.triplets.first()
    pairs = [{"video_a": str(triplet.video_a_id), "video_b": str(triplet.video_b_id)}]
    one = "/api/campaigns/{campaign_id}"
    calls: list[tuple[str, str, int, dict[str, Any] | None]] = [
        ("get", "/api/campaigns", 200, None),
        ("post", "/api/campaigns", 201, {"name": "n", "dimension_set": "anime"}),
        ("get", one, 200, None),
        ("patch", one, 200, {"consent": "yes"}),
        ("post", f"{one}/pause", 200, {}),
        ("post", f"{one}/open", 200, {}),
        ("post", f"{one}/extend", 200, {"votes_wanted": 4}),
        ("post", f"{one}/clone", 201, {"name": "m"}),
        ("get", f"{one}/triplets", 200, None),
        ("post", f"{one}/pairs", 201, {"pairs": pairs}),
        ("post", f"{one}/plan", 200, {"strategy": "all"}),
        ("post", f"{one}/priorities", 200, {"first": "active"}),
        ("get", f"{one}/overlap", 200, None),
        ("post", f"{one}/bridge", 200, {}),
        ("post", f"{one}/close", 200, {}),
        ("get", "/api/videos", 200, None),
        ("get", "/api/dimension-sets", 200, None),
        ("get", "/api/tokens", 200, None),
        ("post", "/api/tokens", 201, {"name": "t", "scopes": ["export"]}),
    ]
    for method, path, code, body in calls:
        target = copy.pk if path.endswith("/pairs") else campaign.pk
        answer = client.generic(
            method.upper(),
            path.format(campaign_id=target),
            json.dumps(body) if body is not None else "",
            content_type="application/json",
        )
        assert answer.status_code == code, (path, answer.content)
        wanted = _answer_schema(schema, path, method, code)
        jsonschema.validate(answer.json(), wanted, cls=jsonschema.Draft202012Validator)


def test_what_annotators_get_is_what_the_schema_says(alice, make_campaign, annotator, schema):
    campaign = make_campaign(1)
    browser = annotator(alice)
    given = browser.next(campaign)
    here = "/api/campaigns/{campaign_id}"
    receipt = browser.vote(given).json()
    answers = [
        (f"{here}/next", "post", given),
        ("/api/votes", "post", receipt),
        (f"{here}/next", "post", browser.next(campaign)),
        ("/api/votes/mine", "get", browser.get(f"/api/votes/mine?campaign={campaign.pk}").json()),
    ]
    own = (
        "/api/profile",
        "/api/hours",
        f"{here}/consent",
        f"{here}/guideline",
        f"{here}/scorecard",
    )
    answers += [
        (path, "get", browser.get(path.format(campaign_id=campaign.pk)).json()) for path in own
    ]
    for path, method, body in answers:
        jsonschema.validate(
            body, _answer_schema(schema, path, method, 200), cls=jsonschema.Draft202012Validator
        )


LOOKS = ("members", "pay", "guidelines", "guideline/draft", "gold", "gold/promotable", "flags")
FIGURES = ("progress", "agreement", "figures", "standings", "adjudication/next")


def test_what_leads_look_at_is_what_the_schema_says(lee, alice, make_campaign, annotator, schema):
    campaign = make_campaign(2, votes_wanted=1)
    browser = annotator(alice)
    browser.vote(browser.next(campaign))
    client = Client()
    client.force_login(lee)
    paths = [f"/api/campaigns/{{campaign_id}}/{each}" for each in (*LOOKS, *FIGURES)]
    for path in [*paths, "/api/people", "/api/invitations"]:
        if path not in schema["paths"]:
            pytest.fail(f"{path} is not in the schema")
        answer = client.get(path.format(campaign_id=campaign.pk))
        assert answer.status_code == 200, (path, answer.content)
        jsonschema.validate(
            answer.json(),
            _answer_schema(schema, path, "get", 200),
            cls=jsonschema.Draft202012Validator,
        )


def test_every_panel_is_what_the_schema_says(lee, alice, make_campaign, annotator, schema):
    campaign = make_campaign(2, votes_wanted=1)
    browser = annotator(alice)
    browser.vote(browser.next(campaign))
    client = Client()
    client.force_login(lee)
    wanted = _answer_schema(schema, "/api/campaigns/{campaign_id}/figures/{panel}", "get", 200)
    wanted["anyOf"] = wanted.pop("oneOf")  # two panels may look alike while they are empty
    for name in client.get(f"/api/campaigns/{campaign.pk}/figures").json()["panels"]:
        body = client.get(f"/api/campaigns/{campaign.pk}/figures/{name}").json()
        jsonschema.validate(body, wanted, cls=jsonschema.Draft202012Validator)


def test_the_schema_and_its_page_are_for_who_is_logged_in(client, alice):
    assert client.get("/api/schema/").status_code in {401, 403}
    assert client.get("/api/docs/").status_code == 302
    client.force_login(alice)
    assert client.get("/api/schema/").status_code == 200
    page = client.get("/api/docs/").content.decode()
    assert "<style" not in page
    assert "http" not in page.replace("http://testserver", "")


@pytest.mark.e2e
def test_the_page_of_the_api_works_under_the_policy(live_server, page, alice, client):
    client.force_login(alice)
    cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value}
    page.context.add_cookies([{**cookie, "url": live_server.url}])
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{live_server.url}/api/docs/")
    page.get_by_text("What runs have left").first.wait_for()
    # The page draws only what is in sight; whether this began above the fold was luck.
    page.locator('[data-tag="campaigns"]').scroll_into_view_if_needed()
    page.get_by_text("Campaigns that I may see").first.wait_for()
    assert [each for each in said if "Content Security Policy" in each] == []
    own = (live_server.url, "data:", "blob:")
    assert [each for each in asked if not each.startswith(own)] == []


def test_no_door_answers_an_object_of_which_nothing_is_said(schema):
    bare = [
        (method, path)
        for path, methods in schema["paths"].items()
        if not path.startswith("/api/schema")
        for method, each in methods.items()
        for answer in each["responses"].values()
        for kind, content in answer.get("content", {}).items()
        if kind == "application/json" and not _says_something(content["schema"])
    ]
    assert bare == []


def _says_something(shape: dict[str, Any]) -> bool:
    known = ("$ref", "properties", "oneOf", "anyOf")
    return any(word in shape for word in known) or "items" in shape
