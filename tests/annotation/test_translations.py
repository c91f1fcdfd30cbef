"""Every text that the source marks is translated, whole, into every language."""

import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tools import messages

ROOT = Path(__file__).parents[2]
CATALOGS = [(language, domain) for language in messages.LANGUAGES for domain in messages.SOURCES]
PLACEHOLDER = re.compile(r"%\(\w+\)[\d.]*[sdfg]|%%|</?\w+>|<[^>]+>")


@cache
def source(domain: str) -> Any:
    return messages.extracted(domain)


@cache
def translated(language: str, domain: str) -> Any:
    return messages.read(language, domain)


def forms(text: str | tuple[str, ...]) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text)


@pytest.mark.parametrize(("language", "domain"), CATALOGS)
def test_every_marked_text_is_translated(language: str, domain: str) -> None:
    """`make messages` brings new texts into the catalogs; a person translates them."""
    catalog = translated(language, domain)
    missing = []
    for message in source(domain):
        known = catalog.get(message.id, message.context) if message.id else None
        if message.id and (known is None or not all(forms(known.string)) or known.fuzzy):
            missing.append(forms(message.id)[0])
    assert missing == []


@pytest.mark.parametrize(("language", "domain"), CATALOGS)
def test_a_translation_keeps_the_placeholders_of_its_text(language: str, domain: str) -> None:
    for message in translated(language, domain):
        if message.id:
            wanted = sorted(PLACEHOLDER.findall(forms(message.id)[-1]))
            for said in forms(message.string):
                assert sorted(PLACEHOLDER.findall(said)) == wanted, said


@pytest.mark.parametrize(("language", "domain"), CATALOGS)
def test_no_catalog_keeps_what_the_source_has_dropped(language: str, domain: str) -> None:
    known = {message.id for message in source(domain)}
    assert [message.id for message in translated(language, domain) if message.id not in known] == []


def test_texts_of_templates_python_scripts_and_dimensions_are_found() -> None:
    django = {message.id for message in source("django")}
    assert "Forgotten password?" in django  # a template
    assert "There is no such account." in django  # Python
    assert "Visual quality" in django  # a dimension set
    assert (
        "Today: %(questions)s question, %(time)s",
        "Today: %(questions)s questions, %(time)s",
    ) in django
    assert "play or pause" in {message.id for message in source("djangojs")}


def test_catalogs_are_compiled_with_python_alone(tmp_path: Path) -> None:
    """As set-up does it: no program of GNU gettext is on the path."""
    for folder in ("tools", "locale", "formats"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.mo"))
    command = [sys.executable, "-m", "tools.messages", "compile"]
    environment = {"PATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("locale/*/LC_MESSAGES/*.mo"))) == len(CATALOGS)


def test_a_page_is_shown_in_the_language(client: Any, db: None) -> None:
    shown = {
        language: client.get("/accounts/login/", headers={"Accept-Language": language})
        for language in ("en", "zh-hans", "ja", "ko")
    }
    titles = {
        language: re.findall(r"<h1>(.*?)</h1>", page.content.decode())[0]
        for language, page in shown.items()
    }
    assert titles == {"en": "Log in", "zh-hans": "登录", "ja": "ログイン", "ko": "로그인"}


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "1 h 1 min|1,234.50"),
        ("zh-hans", "1 小时 1 分|1234.50"),
        ("ja", "1 時間 1 分|1,234.50"),
        ("ko", "1시간 1분|1,234.50"),
    ],
)
def test_times_and_amounts_follow_the_language(language: str, said: str) -> None:
    from decimal import Decimal

    from django.utils import translation

    from annotation.templatetags.people_format import duration, money

    with translation.override(language):
        shown = f"{duration(3_661_000)}|{money(Decimal('1234.5'), 'EUR')}"
    assert shown == f"{said}\N{NO-BREAK SPACE}EUR"
