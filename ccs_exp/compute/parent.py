"""A process that works for another ends when that one is gone: a killed parent tells nobody, and would leave work and locks behind."""

from __future__ import annotations

import os
import signal
import threading
import time

_LOOK_S = 0.5
_PATIENCE_S = 5.0  # in which what is under way may end by itself: files whole, the job on record


def end_with(parent: int) -> None:
    """End this process soon after `parent`, which started it, has ended: by SIGTERM, and if that does not help by force."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_S)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_PATIENCE_S)
        os._exit(128 + signal.SIGTERM)

    threading.Thread(target=watch, name="parent watch", daemon=True).start()
