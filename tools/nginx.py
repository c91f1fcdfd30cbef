"""The nginx of docker/nginx, natively: found, and its templates filled in (tools/stack.py)."""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tools.services import ServiceMissing

ROOT: Final = Path(__file__).resolve().parent.parent
TEMPLATES: Final = ROOT / "docker" / "nginx"
# Where tools/set_up.py unpacks the one of the distribution, which starts no server by itself.
UNPACKED: Final = ROOT / ".venv" / "nginx" / "usr" / "sbin" / "nginx"
_VARIABLE: Final = re.compile(r"\$\{([A-Z_]+)\}")


def binary() -> Path:
    """TIEBREAK_NGINX, the one of the system, or the one that set-up has unpacked."""
    given = os.environ.get("TIEBREAK_NGINX")
    found = given or shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    path = Path(found) if found else UNPACKED
    if not path.is_file():
        raise ServiceMissing(
            "no nginx: install it (`apt-get install nginx`), or name one in TIEBREAK_NGINX"
        )
    return path


def rendered(template: Path, variables: Mapping[str, str], places: Mapping[str, Path]) -> str:
    """The configuration with its variables, as the image fills them in, and with our folders."""
    text = _VARIABLE.sub(lambda match: variables[match[1]], template.read_text(encoding="utf-8"))
    return moved(text, {inside: str(outside) for inside, outside in places.items()})


def moved(text: str, places: Mapping[str, str]) -> str:
    """The text with places of the containers as places of this machine; each is replaced once."""
    longest_first = sorted(places, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, longest_first)))
    return pattern.sub(lambda match: places[match[0]], text)


def configure(
    folder: Path, server: str, variables: Mapping[str, str], places: Mapping[str, Path]
) -> Path:
    """Write what the container would have; give the main file."""
    (folder / "conf.d").mkdir(parents=True)
    (folder / "cache").mkdir()
    for name in ("shared.conf", "site.inc", "clip.inc", "hidden.inc", f"{server}.conf"):
        text = rendered(TEMPLATES / f"{name}.template", variables, places)
        (folder / "conf.d" / name).write_text(text, encoding="utf-8")
    main = folder / "nginx.conf"
    main.write_text(rendered(TEMPLATES / "nginx.conf", {}, places), encoding="utf-8")
    return main


def command(main: Path) -> list[str]:
    """How to start it in the foreground."""
    # As root it would serve as `nobody`, who cannot read a folder of ours.
    user = "user root; " if os.geteuid() == 0 else ""
    return [str(binary()), "-c", str(main), "-p", str(main.parent), "-g", f"{user}daemon off;"]
