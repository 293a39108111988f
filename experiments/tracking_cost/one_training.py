"""One `lts` command whose tracker threads are timed: `one_training.py OUT.json train --run RUN ...`.

Every thread that a tracker is followed in, and every thread that its package starts, has a CPU clock of its own, so
that what they took is known apart from the noise of a busy machine. A follower's clock is read as it ends, others five
times a second; in the last fifth of a second something may be missed of these.
"""

import os
import sys
import threading
import time
from pathlib import Path

from lts_jax.cli import main
from lts_jax.storage import write_document

POLL_SECONDS = 0.2
OF_TRACKERS = ("track-", "_AsyncWriterThread", "_AsyncWriter")


def is_of_a_tracker(thread: threading.Thread) -> bool:
    """One of ours that follows, or TensorBoard's writer."""
    return thread.name.startswith(OF_TRACKERS) or type(thread).__name__.startswith(OF_TRACKERS)


def watch(spent: dict[threading.Thread, float]) -> None:
    """Keep the CPU seconds of every tracker's thread in `spent`, from now on."""
    plain = threading.Thread.run

    def timed(thread: threading.Thread) -> None:
        try:
            plain(thread)
        finally:
            if is_of_a_tracker(thread):
                spent[thread] = time.thread_time()

    def look() -> None:
        while True:
            read_clocks(spent)
            time.sleep(POLL_SECONDS)

    threading.Thread.run = timed  # type: ignore[method-assign]
    threading.Thread(target=look, name="watch", daemon=True).start()


def read_clocks(spent: dict[threading.Thread, float]) -> None:
    """The clocks of the tracker threads that are alive."""
    for thread in filter(is_of_a_tracker, threading.enumerate()):
        if thread.ident is not None:
            spent[thread] = max(spent.get(thread, 0.0), time.clock_gettime(time.pthread_getcpuclockid(thread.ident)))


if __name__ == "__main__":
    seconds: dict[threading.Thread, float] = {}
    watch(seconds)
    main(sys.argv[2:])
    read_clocks(seconds)
    used = os.times()
    write_document(
        Path(sys.argv[1]),
        {
            "cpu_seconds": used.user + used.system,
            "tracker_cpu_seconds": sum(seconds.values()),
            "num_tracker_threads": len(seconds),
        },
    )
