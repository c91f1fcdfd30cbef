"""The admin: who sees which list, who may add, change and delete (RELIABILITY S2, 3c)."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin

from tests.access.conftest import PEOPLE, World

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]
VIEWERS = {"lead", "engineer", "operator"}
OPERATOR = {"operator"}
NOBODY: set[str] = set()
# By model: who sees, who adds, who changes, who deletes. A model that is not here fails the test.
RECORD = (VIEWERS, NOBODY, NOBODY, NOBODY)
MODELS: dict[str, tuple[set[str], set[str], set[str], set[str]]] = {
    "auth.user": (OPERATOR, OPERATOR, OPERATOR, OPERATOR),
    "auth.group": (OPERATOR, OPERATOR, OPERATOR, OPERATOR),
    "annotation.campaign": (VIEWERS, {"lead", "operator"}, {"lead", "operator"}, NOBODY),
    "annotation.dimensionset": (VIEWERS, {"lead", "operator"}, {"lead", "operator"}, OPERATOR),
    **{
        f"annotation.{name}": RECORD
        for name in (
            "vote", "consensus", "triplet", "video", "slot", "skip", "prompt", "outbox",
            "generator", "auditentry",
        )
    },
    "pipelines.run": (VIEWERS, {"engineer", "operator"}, NOBODY, NOBODY),
    "pipelines.loopgroup": (VIEWERS, {"engineer", "operator"}, NOBODY, NOBODY),
    **{
        f"pipelines.{name}": RECORD
        for name in ("artifact", "basemodel", "suite", "workerheartbeat")
    },
    # Of libraries, for operators: failed log-ins (all read-only), second factors, identities.
    "axes.accessattempt": (OPERATOR, NOBODY, OPERATOR, OPERATOR),
    "axes.accesslog": (OPERATOR, NOBODY, OPERATOR, OPERATOR),
    "axes.accessfailurelog": (OPERATOR, NOBODY, OPERATOR, OPERATOR),
    "mfa.authenticator": (OPERATOR, NOBODY, NOBODY, OPERATOR),
    "socialaccount.socialaccount": (OPERATOR, NOBODY, NOBODY, OPERATOR),
}  # fmt: skip


def label(model: Any) -> str:
    return f"{model._meta.app_label}.{model._meta.model_name}"


@pytest.mark.promise("S2")
def test_every_model_of_the_admin_has_its_row() -> None:
    assert {label(model) for model in admin.site._registry} == set(MODELS)


@pytest.mark.promise("S2")
@pytest.mark.parametrize("who", PEOPLE)
def test_the_admin_shows_and_changes_what_the_matrix_says(
    world: World, rf: Any, who: str, figures: Any
) -> None:
    wrong = []
    for model, ours in admin.site._registry.items():
        sees, adds, changes, deletes = MODELS[label(model)]
        path = f"/admin/{label(model).replace('.', '/')}/"
        opens = world.clients[who].get(path).status_code == 200
        if opens != (who in sees):
            wrong.append((label(model), "sees", opens))
        if who in {"anonymous", "nobody", "member", "stranger"}:
            continue
        request = rf.get(path)
        request.user = world.people[who]
        asked = {
            "adds": (ours.has_add_permission(request), adds),
            "changes": (ours.has_change_permission(request), changes),
            "deletes": (ours.has_delete_permission(request), deletes),
        }
        wrong += [
            (label(model), act, may) for act, (may, by) in asked.items() if may != (who in by)
        ]
    assert wrong == [], wrong
    figures("S2", **{f"checks_of_the_admin_as_{who}": 4 * len(MODELS)})


def test_the_checks_see_pages_though_nobody_has_loaded_them() -> None:
    spoiled = (
        "import os\n"
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'config.settings'\n"
        "import django; django.setup()\n"
        "from django.contrib import admin\n"
        "from annotation.models import Campaign\n"
        "class Broken(admin.ModelAdmin):\n"
        "    list_display = ['no_such_column']\n"
        "plain = admin.autodiscover\n"
        "def spoil():\n"
        "    plain()\n"
        "    admin.site.unregister(Campaign)\n"
        "    admin.site.register(Campaign, Broken)\n"
        "admin.autodiscover = spoil\n"
        "from django.core.checks import run_checks\n"
        "print(*(each.id for each in run_checks(tags=['admin'])))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", spoiled], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["admin.E108"]
