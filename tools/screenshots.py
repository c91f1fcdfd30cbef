"""The pictures of the README and the pages as they look, from a running `make run`.

make screenshot                                  docs/images/*.png
python -m tools.screenshots --all FOLDER         every page, desktop and phone, light and dark
"""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.conftest import CHROMIUM_FLAGS, chromium

PEOPLE = {
    "annotator": ("annotate",),
    "lead": ("campaigns", "dashboard"),
    "engineer": ("runs", "loop"),
}
IN_README = {"annotate", "dashboard", "loop", "report"}
OF_A_CAMPAIGN = (
    "agreement", "annotators", "generators", "dataset", "people", "guideline", "pay", "quality",
    "adjudicate",
)  # fmt: skip
SIZES = {"desktop": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 844}}


def log_in(page: Any, site: str, name: str, password: str) -> None:
    page.goto(f"{site}/accounts/login/")
    page.fill("input[name=username]", name)
    page.fill("input[name=password]", password)
    page.click("main button[type=submit]")
    page.wait_for_url(f"{site}/")


def links_of(page: Any, pattern: str) -> list[str]:
    links = page.eval_on_selector_all("a[href]", "all => all.map(a => a.getAttribute('href'))")
    return [link for link in links if re.fullmatch(pattern, link)]


def first_link(page: Any, pattern: str) -> str | None:
    return next(iter(links_of(page, pattern)), None)


def pages_of(page: Any, site: str, person: str) -> Iterator[tuple[str, str]]:
    """(name, path) of the pages that this person uses."""
    yield "home", "/"
    if person == "annotator":
        page.goto(f"{site}/")
        # The oldest campaign is the one to try: simulated people leave it alone.
        for link in links_of(page, r"/annotate/\d+/")[-1:]:
            yield "annotate", link
            yield "me", link.replace("annotate", "campaigns") + "me/"
        yield "account", "/account/"
        return
    if person == "lead":
        yield "campaigns", "/campaigns/"
        page.goto(f"{site}/campaigns/")
        if link := first_link(page, r"/campaigns/\d+/"):
            yield "dashboard", link
            for name in OF_A_CAMPAIGN:
                yield name, f"{link}{name}/"
        return
    yield "runs", "/runs/"
    yield "loop", "/loop/"
    page.goto(f"{site}/runs/")
    if link := first_link(page, r"/runs/\d+/"):
        yield "run", link
    page.goto(f"{site}/loop/")
    if link := first_link(page, r"/reports/\d+/"):
        yield "report", link
    yield "admin", "/admin/"
    yield "admin-run", "/admin/pipelines/run/add/"


def shoot(browser: Any, site: str, password: str, folder: Path, *, everything: bool) -> None:
    looks = [("desktop", "light")]
    if everything:
        looks += [("desktop", "dark"), ("phone", "light"), ("phone", "dark")]
    for size, scheme in looks:
        for person in PEOPLE:
            context = browser.new_context(viewport=SIZES[size], color_scheme=scheme)
            page = context.new_page()
            log_in(page, site, person, password)
            for name, path in pages_of(page, site, person):
                if not everything and name not in IN_README:
                    continue
                answer = page.goto(f"{site}{path}")
                if answer is None or not answer.ok:
                    print(f"skipped {path}: it answers {answer and answer.status}")
                    continue
                page.wait_for_timeout(2500)
                suffix = f"-{person}-{size}-{scheme}" if everything else ""
                page.screenshot(path=folder / f"{name}{suffix}.png", full_page=everything)
                print(f"{name}: {path}")
            context.close()


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--site", default="http://127.0.0.1:8000")
    parser.add_argument("--password", default="tiebreak-demo")
    parser.add_argument("--all", type=Path, metavar="FOLDER")
    given = parser.parse_args()
    folder = given.all or Path("docs/images")
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS)
        shoot(browser, given.site, given.password, folder, everything=given.all is not None)
        browser.close()


if __name__ == "__main__":
    main()
