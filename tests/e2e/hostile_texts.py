"""A campaign and a run in which every text is something that would run, if a page let it."""

import json
from collections.abc import Callable
from typing import Any

from tests.annotation.conftest import Annotator
from tests.conftest import PASSWORD
from tests.promises import counts

# `owned` is what each would set; alert is what a person would see.
RUN = "window.owned=1;alert(1)"
PAYLOADS = [
    f"<script>{RUN}</script>",
    f"</title><script>{RUN}</script>",
    f"</textarea><script>{RUN}</script>",
    f"</script><script>{RUN}</script>",
    f"<img src=x onerror={RUN}>",
    f'"><img src=x onerror={RUN}>',
    f"'><img src=x onerror={RUN}>",
    f"<svg onload={RUN}>",
    f"<svg><script>{RUN}</script></svg>",
    f"<svg><animate onbegin={RUN} attributeName=x dur=1s>",
    f"<body onload={RUN}>",
    f"<details open ontoggle={RUN}>",
    f"<video src=x onerror={RUN}>",
    f"<input autofocus onfocus={RUN}>",
    f'" onmouseover="{RUN}" autofocus onfocus="{RUN}',
    f"' onfocus='{RUN}' autofocus='",
    f"javascript:{RUN}",
    f'<a href="javascript:{RUN}">here</a>',
    f'<iframe srcdoc="<script>{RUN}</script>">',
    f"<object data=javascript:{RUN}>",
    f"<meta http-equiv=refresh content='0;url=javascript:{RUN}'>",
    f"<style>@import 'javascript:{RUN}';</style>",
    f"{{{{constructor.constructor('{RUN}')()}}}}",
    f"${{{RUN}}}{{% debug %}}",
    f"<!--><script>{RUN}</script-->",
    f"\u202e<scr\0ipt>{RUN}</script>".replace("\0", ""),
    f"hx-on:load={RUN} <b hx-get=/logout hx-trigger=load>x</b>",
]
USED = PAYLOADS[: counts(7, 18, len(PAYLOADS))]


def short(payload: str, most: int, number: int) -> str:
    """Inside a column of that width; unique, because names are."""
    return f"{payload[: most - 3]}{number:03}"


def annotators() -> list[Any]:
    """Three people whose names are payloads."""
    from django.contrib.auth.models import Group, User

    from annotation.permissions import ensure_groups

    ensure_groups()
    group = Group.objects.get(name="annotator")
    users = []
    for number in range(3):
        user = User.objects.create_user(
            short(USED[number], 150, number), password=PASSWORD, first_name=USED[number + 3][:150]
        )
        user.groups.add(group)
        users.append(user)
    return users


def campaign_of(make_campaign: Callable[..., Any], users: list[Any]) -> Any:
    """A pair per payload, two votes on each, all with remarks."""
    from annotation.models import Campaign, Generator, Prompt, Video

    campaign = make_campaign(len(USED), votes_wanted=3)
    for number, triplet in enumerate(campaign.triplets.order_by("pk")):
        payload = USED[number]
        maker = Generator.objects.create(name=short(payload, 200, number))
        Prompt.objects.filter(pk=triplet.prompt_id).update(text=payload, category=payload[:50])
        Video.objects.filter(pk__in=[triplet.video_a_id, triplet.video_b_id]).update(
            generator=maker, original_path=payload
        )
    Campaign.objects.filter(pk=campaign.pk).update(
        name=short(USED[0], 100, 0), instructions="\n".join(USED)
    )
    for user in users:
        for number in range(len(USED)):
            vote_on_a_pair(user, campaign, USED[number])
    campaign.refresh_from_db()
    return campaign


def vote_on_a_pair(user: Any, campaign: Any, remark: str = "") -> None:
    browser = Annotator(user)
    given = browser.post(f"/api/campaigns/{campaign.pk}/next", {"tab": browser.tab}).json()
    if "lease" in given:
        browser.send({**browser.ballot(given), "remark": remark})


def failed_run() -> Any:
    """Says payloads wherever a run can say something."""
    from pipelines import launching
    from pipelines.models import Artifact, BaseModel, LoopGroup, Metric, Run, RunState

    group = LoopGroup.objects.create(name=short(USED[1], 100, 1), config={})
    run = Run.objects.create(
        kind="snapshot", name=short(USED[2], 200, 2), config={"campaign": USED[3]}, config_sha="",
        state=RunState.FAILED, message=" ".join(USED), reason="bad_data", group=group,
        summary={"campaign_name": USED[4], "note": USED[5]}, stage=USED[6][:60],
    )  # fmt: skip
    for number, payload in enumerate(USED):
        Metric.objects.create(
            run=run, name=short(payload, 100, number), step=number, value=0.5, fence=0
        )
        BaseModel.objects.create(
            name=short(payload, 100, number), role="vlm", source=payload, revision=payload[:60]
        )
    Artifact.objects.create(
        kind="scores", run=run, name=USED[0][:200], path=f"{run.pk}/x", sha256="0" * 64,
        meta={"campaign_name": USED[1], "counts": {}, "note": USED},
    )  # fmt: skip
    folder = launching.run_dir(run)
    folder.root.mkdir(parents=True)
    folder.log_file.write_text("\n".join([*USED, *(json.dumps({"message": p}) for p in USED)]))
    return run
