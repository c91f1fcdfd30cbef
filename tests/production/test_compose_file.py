"""docker-compose.yml without a Docker engine: its form, its hardening, its variables (S1)."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tools import new_secrets
from tools.compose import ROOT, ComposeError, project, raw, variables_of

SCHEMA = json.loads((Path(__file__).parent / "compose-spec.json").read_text())
OURS = ("migrate", "static", "bucket", "web", "worker-cpu", "worker-gpu", "beat", "backup", "fetch")
KEPT = ("nginx", "postgres", "redis", "storage", "flower")
# What the file decides itself, what the tests alone read, and what an image is built with.
NOT_GIVEN = {
    "TIEBREAK_MODE", "TIEBREAK_SHARED", "TIEBREAK_FAULTS", "TIEBREAK_CHROMIUM", "TIEBREAK_NGINX",
    "TIEBREAK_PG_BIN", "TIEBREAK_CODE_COMMIT",
}  # fmt: skip


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = project(new_secrets.fresh() | {"ALLOWED_HOSTS": "site.example"})[
        "services"
    ]
    return found


def example() -> tuple[str, str]:
    """The part of .env.example for the site, and that for the compose file alone."""
    site, _, compose = (ROOT / ".env.example").read_text().partition("# docker compose only")
    return site, compose


def names_of(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([A-Z][A-Z0-9_]+)=(\S*)", text, re.MULTILINE))


def test_the_file_fits_the_specification() -> None:
    validator = jsonschema.Draft7Validator(SCHEMA)
    assert [error.message for error in validator.iter_errors(raw())] == []


def test_the_schema_would_find_a_mistake() -> None:
    wrong = raw()
    wrong["services"]["web"]["comand"] = "gunicorn"
    wrong["services"]["redis"]["ports"] = "6379"
    found = {error.message for error in jsonschema.Draft7Validator(SCHEMA).iter_errors(wrong)}
    assert len(found) == 2


def test_all_services_are_there(services: dict[str, Any]) -> None:
    assert set(services) == {*OURS, *KEPT}
    profiles = {name: each["profiles"] for name, each in services.items() if "profiles" in each}
    assert profiles == {"worker-gpu": ["gpu"], "flower": ["flower"], "backup": ["backup"],
                        "fetch": ["fetch"]}  # fmt: skip


@pytest.mark.parametrize("name", [*OURS, *KEPT])
def test_a_service_can_do_no_more_than_it_must(services: dict[str, Any], name: str) -> None:
    service = services[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["pids_limit"]
    assert any(str(each).startswith("/tmp") for each in service["tmpfs"])
    assert not {"privileged", "cap_add", "network_mode", "pid", "devices"} & set(service)
    assert not any("docker.sock" in str(each) for each in service.get("volumes", ()))


@pytest.mark.parametrize("name", ["web", "worker-cpu", "worker-gpu", "beat", "nginx", "postgres",
                                  "redis", "storage"])  # fmt: skip
def test_what_runs_for_ever_has_a_health_check_and_comes_back(
    services: dict[str, Any], name: str
) -> None:
    assert services[name]["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    assert services[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", ["migrate", "static", "bucket", "backup", "fetch"])
def test_one_shot_services_run_once(services: dict[str, Any], name: str) -> None:
    assert services[name]["restart"] == "no"


def test_the_web_waits_for_the_one_shot_services(services: dict[str, Any]) -> None:
    waits = services["web"]["depends_on"]
    for name in ("migrate", "static", "bucket"):
        assert waits[name] == {"condition": "service_completed_successfully"}


def test_only_nginx_is_reached_from_outside(services: dict[str, Any]) -> None:
    public = {
        name: port
        for name, each in services.items()
        for port in each.get("ports", ())
        if not str(port).startswith("127.0.0.1:")
    }
    assert set(public) == {"nginx"}
    assert raw()["networks"]["inside"]["internal"] is True
    for name in ("postgres", "redis", "storage", "worker-cpu", "worker-gpu"):
        assert services[name]["networks"] == ["inside"]  # a trainer reaches no other network
    # What reaches hubs of models knows no secret.
    assert set(services["fetch"]["environment"]) == {"HF_HOME", "HOME"}


def test_no_secret_has_a_default() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for name in new_secrets.NAMES:
        uses = re.findall(rf"\$\{{{name}[:}}][^}}]*", text)
        assert uses, name
        assert all(use.startswith(f"${{{name}:?") for use in uses), name


def test_every_missing_secret_is_named_at_once() -> None:
    with pytest.raises(ComposeError) as error:
        project({})
    said = str(error.value)
    assert [name for name in (*new_secrets.NAMES, "ALLOWED_HOSTS") if name not in said] == []


def test_commands_are_programs_and_subcommands_that_exist(services: dict[str, Any]) -> None:
    commands = {p.stem for app in ("annotation", "pipelines")
                for p in (ROOT / app / "management" / "commands").glob("*.py")}  # fmt: skip
    commands |= {"migrate", "collectstatic"}
    for name in OURS:
        for words in (shlex.split(services[name]["command"]), _health(services[name])):
            if "manage.py" in words:
                assert words[words.index("manage.py") + 1] in commands
            elif words:
                assert words[0] in {"gunicorn", "celery", "python", "hf"}
                assert words[0] != "python" or (ROOT / words[1]).is_file()


def _health(service: dict[str, Any]) -> list[str]:
    found: list[str] = service.get("healthcheck", {}).get("test", [""])[1:]
    return found


def test_workers_serve_every_queue(services: dict[str, Any]) -> None:
    from pipelines.models import QueueName

    served = set()
    for name in ("worker-cpu", "worker-gpu"):
        words = shlex.split(services[name]["command"])
        served |= set(words[words.index("--queues") + 1].split(","))
    assert served == set(QueueName.values)


def test_every_setting_of_the_example_reaches_the_site() -> None:
    site, _ = example()
    wanted = set(names_of(site)) - NOT_GIVEN
    given = raw()["services"]["web"]["environment"]
    assert sorted(wanted - set(given)) == []


def test_defaults_are_those_of_the_example() -> None:
    site, compose = example()
    values = names_of(site) | names_of(compose)
    text = (ROOT / "docker-compose.yml").read_text()
    wrong = {}
    for name, default in re.findall(r"\$\{(\w+):-([^}]*)\}", text):
        said = values.get(name)
        # The file has places of its own where a native site has none.
        if said is None or (said and said != default):
            wrong[name] = (default, said)
    assert wrong == {}


def test_a_file_of_variables_is_read_as_compose_reads_it(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("A=1   # one\nB=\nC='x # y'\nD=p$ss\n# E=5\n")
    assert variables_of(file) == {"A": "1", "B": "", "C": "x # y", "D": "p$ss"}


@pytest.mark.parametrize("name", ["web", "trainer"])
def test_images_do_not_run_as_root(name: str) -> None:
    lines = (ROOT / "docker" / f"{name}.Dockerfile").read_text().splitlines()
    users = [line for line in lines if line.startswith("USER ")]
    assert users == ["USER 10001:10001"]
    after = lines[lines.index(users[0]) + 1 :]
    assert not [line for line in after if line.startswith(("RUN", "COPY", "ADD"))]


def test_the_web_image_has_no_deep_learning_library() -> None:
    dockerfile = (ROOT / "docker" / "web.Dockerfile").read_text()
    assert "requirements/web.txt" in dockerfile
    assert not re.search(r"ml\.txt|COPY requirements requirements", dockerfile)
    pins = (ROOT / "requirements" / "web.txt").read_text().lower()
    for library in ("torch", "transformers", "diffusers", "peft", "accelerate"):
        assert not re.search(rf"^{library}\b", pins, re.MULTILINE)


def test_no_secret_goes_into_an_image() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".env", ".git", "var", "certificates", "backups"} <= set(ignored)
    text = yaml.safe_dump(raw()["services"])
    assert not re.search(r"args:.*(SECRET|PASSWORD)", text)
