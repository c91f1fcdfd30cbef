"""A site with pairs on it, and people at their browsers.

Nothing here may use `page.wait_for_function`: it evaluates strings in the page, which the content
security policy forbids, and the tests run under that policy on purpose.
"""

import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.conftest import PASSWORD, PATIENCE

MakeClip = Callable[..., Path]


def _draw_clip(path: Path, *, seed: int, frames: int, fps: int, size: int) -> Path:
    """A square that moves across a plain ground, H.264 as browsers play it."""
    rng = np.random.default_rng(seed)
    ground, square = rng.integers(0, 100, 3), rng.integers(120, 255, 3)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "12", "preset": "veryfast"}
        for index in range(frames):
            pixels = np.empty((size, size, 3), np.uint8)
            pixels[:] = ground
            left = int(size * 0.6 * index / frames)
            pixels[size // 3 : 2 * size // 3, left : left + size // 4] = square
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="session")
def make_clip(tmp_path_factory: pytest.TempPathFactory) -> MakeClip:
    folder = tmp_path_factory.mktemp("clips")

    @functools.cache
    def make(seed: int, *, frames: int = 5, fps: int = 8, size: int = 64) -> Path:
        name = f"{seed}-{frames}-{fps}-{size}.mp4"
        return _draw_clip(folder / name, seed=seed, frames=frames, fps=fps, size=size)

    return make


@pytest.fixture
def make_campaign(transactional_db: None, make_clip: MakeClip) -> Callable[..., Any]:
    """An open campaign with `pairs` pairs of short clips."""
    from annotation.campaigns import create_campaign, ensure_built_in_sets, open_campaign
    from annotation.importing import create_triplets
    from annotation.media.keeping import store_video
    from annotation.models import Prompt

    def make(pairs: int, *, clips: tuple[dict[str, int], ...] = ({}, {}), **options: Any) -> Any:
        ensure_built_in_sets()
        options = {"watch_gate": False, "votes_wanted": 1, **options}
        campaign = create_campaign("Squares", options.pop("dimensions", "videoalign"), **options)
        triplets = []
        for number in range(pairs):
            prompt = Prompt.objects.for_text(f"Square number {number} moves to the right.")
            sides = [
                store_video(make_clip(2 * number + side, **clips[side]), prompt=prompt)
                for side in (0, 1)
            ]
            triplets.append((prompt, *sides))
        create_triplets(campaign, triplets)
        open_campaign(campaign)
        return campaign

    return make


@pytest.fixture
def at_browser(browser: Any, live_server: Any) -> Iterator[Callable[..., Any]]:
    """`at_browser(user)`: a page in a profile of its own where this person is logged in.

    At the end no page may have thrown, and none may have broken the content security policy.
    """
    from django.conf import settings
    from django.test import Client

    contexts: list[Any] = []
    faults: list[str] = []

    def watch(page: Any) -> None:
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: dialog.accept())
        page.on(
            "console",
            lambda message: (
                faults.append(message.text) if "Content Security" in message.text else None
            ),
        )

    def sit_down(user: Any, **options: Any) -> Any:
        context = browser.new_context(
            **{"viewport": {"width": 1280, "height": 800}, "base_url": live_server.url, **options}
        )
        contexts.append(context)
        context.on("page", watch)
        client = Client()
        client.force_login(user)
        session = client.cookies[settings.SESSION_COOKIE_NAME].value
        context.add_cookies(
            [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}]
        )
        return context.new_page()

    yield sit_down
    for context in contexts:
        context.close()
    assert faults == []


class Voting:
    """The voting page as a person at the keyboard sees it."""

    def __init__(self, page: Any, campaign: Any) -> None:
        self.page = page
        self.campaign = campaign

    def open(self) -> "Voting":
        self.page.goto(f"/annotate/{self.campaign.pk}/")
        return self

    def wait_for_pair(self, *, other_than: str = "") -> str:
        """The prompt of the pair on the stage, once one may vote on it."""
        from playwright.sync_api import expect

        prompt = self.page.locator("#prompt")
        expect(prompt).not_to_have_text(other_than)
        open_rows = self.page.locator("#ballot:not(.is-locked) .ballot-row")
        expect(open_rows.first).to_be_visible()
        return str(prompt.inner_text())

    def press(self, keys: str) -> None:
        for key in keys.split():
            self.page.keyboard.press(key)

    def expect_message(self, title: str) -> None:
        from playwright.sync_api import expect

        expect(self.page.locator("#message-title")).to_have_text(title)
        expect(self.page.locator("#message")).to_be_visible()

    def expect_badge(self, text: str) -> None:
        from playwright.sync_api import expect

        expect(self.page.locator("#sync")).to_have_text(re.compile(text))


@pytest.fixture
def no_barriers() -> Callable[[Any], None]:
    """`no_barriers(page)`: axe finds nothing against WCAG 2.2 AA on the page as it stands."""
    from axe_playwright_python.sync_playwright import Axe

    levels = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    options = {"runOnly": {"type": "tag", "values": levels}, "resultTypes": ["violations"]}

    def check(page: Any) -> None:
        found = Axe().run(page, options=options).response["violations"]
        told = [f"{each['id']}: {node['html']}" for each in found for node in each["nodes"]]
        assert told == []

    return check


@pytest.fixture
def until() -> Callable[..., None]:
    """`until(page, condition)`: goes on as soon as the condition holds, fails after a while."""

    def wait(page: Any, condition: Callable[[], bool]) -> None:
        for _ in range(PATIENCE // 100):
            if condition():
                return
            page.wait_for_timeout(100)  # Playwright's own loop goes on meanwhile
        pytest.fail(f"it did not come true within {PATIENCE // 1000} s")

    return wait


@pytest.fixture
def voting() -> type[Voting]:
    return Voting


@pytest.fixture
def password() -> str:
    return PASSWORD
