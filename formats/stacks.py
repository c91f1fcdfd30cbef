"""What every thread of this process is doing, printed whenever SIGUSR1 asks for it.

Two looks, because neither is enough. The thread that gets the signal prints its own stack from
within C, whatever holds the interpreter. The stacks of all threads are printed by a thread of ours
that holds the interpreter: who walks through them from within the signal handler walks through
frames that other threads are changing, and now and then that crashes the process.
"""

import faulthandler
import functools
import os
import signal
import threading


@functools.cache
def tell_when_asked() -> None:
    """From now on; only the main thread may call it. Prints to the file descriptor 2: in production
    sys.stderr writes JSON and has no file behind it."""
    asked, told = os.pipe()
    os.set_blocking(told, False)
    # C's part of a handler of Python writes the number of the signal there, even where Python is
    # held up; its own part has nothing to do.
    signal.signal(signal.SIGUSR1, lambda *_: None)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    faulthandler.register(signal.SIGUSR1, file=2, all_threads=False, chain=True)
    # What a library waits for in the kernel goes on; not all that is written in C asks again.
    signal.siginterrupt(signal.SIGUSR1, False)  # noqa: FBT003  it has no names
    threading.Thread(target=_tell, args=(asked,), name="stacks", daemon=True).start()


def _tell(asked: int) -> None:
    while numbers := os.read(asked, 64):
        if signal.SIGUSR1 in numbers:
            faulthandler.dump_traceback(file=2, all_threads=True)
