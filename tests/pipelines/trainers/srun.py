"""A launcher for tests, in the place of Slurm's srun: starts its command once on each "host".

    python srun.py --nodes=3 COMMAND …

A host is an address of this machine (127.0.0.1, 127.0.0.2 …) and, where the kernel lets us, a host
name of its own, which makes gloo use that address too. As srun does, it hands SIGTERM and SIGUSR1
on, and ends with the largest exit code, 128 + n for signal n. `--deaf` hands nothing on, as many a
launcher of a site; `--lonely` starts hosts that do not tell one another what they lose.
"""

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

CLONE_NEWUTS = 0x04000000
PDEATHSIG = 1


def hosts_may_have_names() -> bool:
    """Only root may give a process a host name of its own."""
    return subprocess.run(["unshare", "--uts", "true"], capture_output=True).returncode == 0


def start(number: int, command: list[str]) -> subprocess.Popen[bytes]:
    address = f"127.0.0.{number}"
    libc = ctypes.CDLL(None)
    own_names = hosts_may_have_names()

    def become_a_host() -> None:
        libc.prctl(PDEATHSIG, signal.SIGKILL)
        if own_names:
            libc.unshare(CLONE_NEWUTS)
            libc.sethostname(address.encode(), len(address))

    environment = {**os.environ, "TIEBREAK_HOST_ADDRESS": address, "SLURM_NODEID": str(number)}
    if not own_names:
        environment["GLOO_SOCKET_IFNAME"] = "lo"
    return subprocess.Popen(
        command,
        env=environment,
        start_new_session=True,  # the supervisor's signals do not reach another host
        preexec_fn=become_a_host,  # noqa: PLW1509 - no thread
    )


def main(words: list[str]) -> int:
    options = [word for word in words if word.startswith("--")]
    command = words[len(options) :]
    if "--lonely" in options:
        command[2:4] = [str(Path(__file__).with_name("lonely.py"))]  # for -m trainers.torchrun
    nodes = next(int(word.removeprefix("--nodes=")) for word in options if "--nodes=" in word)
    children = [start(n, command) for n in range(1, nodes + 1)]

    def hand_on(number: int, _frame: object) -> None:
        for child in children:
            if child.poll() is None and "--deaf" not in options:
                child.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, hand_on)
    codes = [child.wait() for child in children]
    return max(code if code >= 0 else 128 - code for code in codes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
