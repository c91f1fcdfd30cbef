"""The commands of docs/api.md do what the page says, in the order in which they stand there."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client

from annotation.models import Campaign

pytestmark = pytest.mark.django_db
PAGE = Path(__file__).parents[3] / "docs" / "api.md"
SITE = "http://testserver"

FILES = {
    "pairs.csv": "path_A,path_B,prompt\n0.mp4,1.mp4,square\n2.mp4,3.mp4,square\n",
    "clips.csv": "path,prompt,model\n"
    + "".join(f"{n}.mp4,disc {n // 3},{'abc'[n % 3]}\n" for n in range(6)),
}


class Curl:
    """What the page uses of curl, against the test client."""

    def __init__(self, token: str) -> None:
        self.client, self.values = Client(enforce_csrf_checks=True), {"TOKEN": token, "SITE": SITE}

    def run(self, line: str) -> Any:
        for name, value in self.values.items():
            line = line.replace(f"${name}", value)
        parts = shlex.split(line)[1:]
        headers = dict(each.split(": ", 1) for each in _after(parts, "-H"))
        fields = dict(each.split("=", 1) for each in _after(parts, "-F"))
        bodies = _after(parts, "--json")
        method = next(iter(_after(parts, "-X")), "POST" if bodies else "GET")
        (address,) = (each.removeprefix(SITE) for each in parts if each.startswith(SITE))
        assert "$" not in address
        if fields:
            data = {name: self._field(value) for name, value in fields.items()}
            return self.client.post(address, data, headers=headers)
        return self.client.generic(
            method, address, *bodies, content_type="application/json", headers=headers
        )

    def _field(self, value: str) -> str | SimpleUploadedFile:
        if not value.startswith("@"):
            return value
        name = value.removeprefix("@")
        return SimpleUploadedFile(name, FILES[name].encode())


def _after(parts: list[str], option: str) -> list[str]:
    return [parts[n + 1] for n, part in enumerate(parts) if part == option]


def commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def test_the_commands_of_the_page_work_in_their_order(lee, settings, clips, capsys):
    folder = Path(settings.MEDIA_ROOT) / "incoming" / "squares"
    folder.mkdir(parents=True)
    for n, clip in enumerate(clips):
        (folder / f"{n}.mp4").write_bytes(clip.read_bytes())
    call_command("make_token", "lee", name="docs", days=1)
    curl = Curl(capsys.readouterr().out.strip())
    answers = []
    for line in commands():
        answer = curl.run(line)
        assert answer.status_code in {200, 201}, (line, answer.content)
        body = answer.getvalue()
        answers.append(
            (line, json.loads(body) if answer["Content-Type"].endswith("json") else body)
        )
        curl.values.setdefault("CAMPAIGN", str(Campaign.objects.order_by("pk")[0].pk))
    said = {line.rsplit("/", 1)[-1].strip('"'): body for line, body in answers}
    assert len(answers) >= 18
    plans = [body for line, body in answers if line.endswith("/plan")]
    assert [each["created"] for each in plans] == [0, 4]
    assert plans[0]["plan"] == plans[1]["plan"]
    assert (said["extend"]["slots"], said["close"]["state"]) == (6, "closed")
    assert said["clone"]["triplets"]["total"] == 6
    assert set(Campaign.objects.values_list("name", flat=True)) == {"First", "Second", "Third"}
    assert [len(body["results"]) for line, body in answers if "limit=2" in line] == [2, 2]
