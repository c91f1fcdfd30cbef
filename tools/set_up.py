"""Make .venv fit this checkout. Standard library only: it runs before anything is installed.

    python3 tools/set_up.py run     what `make run` needs
    python3 tools/set_up.py test    that, the tools of the tests, and a browser

Nothing is done when nothing changed: the versions in requirements/ are hashed into a stamp.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
NGINX = VENV / "nginx" / "usr" / "sbin" / "nginx"
GROUPS = {"run": ["web", "ml"], "test": ["web", "ml", "dev", "docs"]}


def say(text: str) -> None:
    print(f"set-up: {text}", flush=True)


def stop(text: str) -> None:
    say(text)
    raise SystemExit(1)


def fingerprint(group: str) -> str:
    digest = hashlib.sha256(sys.version.encode() + str(ROOT).encode())
    files = [ROOT / "requirements" / f"{name}.txt" for name in GROUPS[group]]
    for path in [*files, ROOT / "pyproject.toml"]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def as_root() -> list[str] | None:
    """How to run a command as root without being asked anything, or None."""
    if os.geteuid() == 0:
        return []
    if (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0
    ):
        return ["sudo", "-n"]
    return None


def apt_install(*packages: str) -> bool:
    prefix = as_root()
    if prefix is None or not shutil.which("apt-get"):
        return False
    say(f"installing {' '.join(packages)} with apt-get …")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = [*prefix, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    for command in ([*prefix, "apt-get", "update", "-qq"], install):
        if subprocess.run(command, env=environment, stdout=subprocess.DEVNULL).returncode != 0:
            return False
    return True


def make_venv() -> None:
    if PYTHON.exists():
        return
    try:
        import ensurepip  # noqa: F401  Debian keeps it in a package of its own.
    except ImportError:
        package = f"python3.{sys.version_info.minor}-venv"
        if not apt_install(package):
            stop(f"Python has no ensurepip; install it with: apt-get install {package}")
    say("making .venv …")
    venv.create(VENV, with_pip=True, symlinks=True)


def pip(*arguments: str) -> None:
    command = [PYTHON, "-m", "pip", "--disable-pip-version-check", "-q", *arguments]
    if subprocess.run(command).returncode != 0:
        stop("pip could not install what requirements/ asks for; its message stands above")


def install(group: str) -> None:
    stamp = VENV / f".tiebreak-{group}"
    wanted = fingerprint(group)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    started = time.monotonic()
    make_venv()
    say("installing Python packages (two to four minutes, 2 GB) …")
    files = [part for name in GROUPS[group] for part in ("-r", f"requirements/{name}.txt")]
    pip("install", *files)
    # The trainers run isolated (python -I): they find our packages because they are installed.
    pip("install", "--no-deps", "--no-build-isolation", "-e", ".")
    stamp.write_text(wanted)
    say(f"packages are there after {time.monotonic() - started:.0f} s")


def compile_texts() -> None:
    """The translations, where one was changed since; the site reads compiled catalogs only."""
    sources = (ROOT / "locale").glob("*/LC_MESSAGES/*.po")
    pairs = [(source, source.with_suffix(".mo")) for source in sources]
    if all(made.exists() and made.stat().st_mtime >= po.stat().st_mtime for po, made in pairs):
        return
    if subprocess.run([PYTHON, "-m", "tools.messages", "compile"]).returncode != 0:
        stop("the translations in locale/ could not be compiled; the reason stands above")


def find_browser() -> None:
    names = ("chromium", "chromium-browser", "google-chrome")
    if os.environ.get("TIEBREAK_CHROMIUM") or any(shutil.which(name) for name in names):
        return
    if not apt_install("chromium"):
        say(
            "no Chromium for the browser tests: install it with `apt-get install chromium`,"
            " or name one in TIEBREAK_CHROMIUM"
        )


def find_nginx() -> None:
    """Unpacked, not installed: installing it would start a server on port 80 of this machine."""
    path = f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"
    if os.environ.get("TIEBREAK_NGINX") or shutil.which("nginx", path=path) or NGINX.exists():
        return
    if not unpack_nginx():
        say(
            "no nginx for the tests of the production stack: install it with"
            " `apt-get install nginx`, or name one in TIEBREAK_NGINX"
        )


def unpack_nginx() -> bool:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return False
    say("unpacking nginx into .venv/nginx …")
    with tempfile.TemporaryDirectory() as folder:
        fetch = ["apt-get", "download", "-qq", "nginx"]
        if not quiet(fetch, folder):
            prefix = as_root()
            if prefix is None or not quiet([*prefix, "apt-get", "update", "-qq"], folder):
                return False
            if not quiet(fetch, folder):
                return False
        (package,) = Path(folder).glob("nginx_*.deb")
        unpacked = quiet(["dpkg-deb", "-x", str(package), str(VENV / "nginx")], folder)
    return unpacked and quiet([str(NGINX), "-V"], str(ROOT))


def quiet(command: list[str], folder: str) -> bool:
    done = subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return done.returncode == 0


def main() -> None:
    version = sys.version.split()[0]
    if tuple(map(int, version.split(".")[:2])) < (3, 11):
        stop(f"Python 3.11 or newer is needed, this is {version}; name one: make PYTHON=… run")
    group = sys.argv[1]
    os.chdir(ROOT)
    install(group)
    compile_texts()
    if group == "test":
        find_browser()
        find_nginx()


if __name__ == "__main__":
    main()
