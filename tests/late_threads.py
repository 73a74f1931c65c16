"""Late threads: those that a program starts when its main thread has ended."""

import functools
import subprocess
import sys

PROGRAM = "import atexit, threading; atexit.register(lambda: threading.Thread(target=print).start())"


@functools.cache
def starts_threads_at_the_end() -> bool:
    """Return whether this Python starts them, as 3.11 and 3.13 do, and 3.12 does not."""
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60)
    return not ended.stderr
