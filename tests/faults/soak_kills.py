"""What the soak kills, and how each of it comes back."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Self

import psutil

from tests.faults.installation import ROOT, end_tree, kill_tree
from tests.faults.scene import Scene, kill_postgres, kill_redis, start_postgres, start_redis

AWAY_SECONDS = (0.3, 3.0)


class Killer:
    """Keeps a worker running for a scene, and kills it and everything else at random.

    The site's web processes and the worker's pool processes are started again by their parents;
    the worker itself, Redis and PostgreSQL by us, as a service manager would.
    """

    def __init__(self, scene: Scene, site_pid: int, rng: random.Random) -> None:
        self.kills: Counter[str] = Counter()
        self._scene, self._site_pid, self._rng = scene, site_pid, rng
        self._kinds: dict[str, Callable[[], bool]] = {
            "pool process": self._pool_process,
            "worker": self._worker,
            "web process": self._web_process,
        }
        if scene.redis is not None:
            self._kinds |= {"Redis": self._redis, "PostgreSQL": self._postgresql}

    def __enter__(self) -> Self:
        self._log = self._scene.installation.log.open("ab")
        self._start_worker()
        return self

    def __exit__(self, *_: object) -> None:
        end_tree(self._process.pid)
        self._process.wait()
        self._log.close()

    def _start_worker(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "manage.py", "worker"],
            cwd=ROOT,
            env=self._scene.installation.environment,
            stdout=self._log,
            stderr=self._log,
        )

    def strike_for(self, seconds: float, every: tuple[float, float]) -> None:
        """Kill something every so many seconds: first each kind once, however long, then any."""
        until = time.monotonic() + seconds
        kinds = list(self._kinds)
        first = self._rng.sample(kinds, len(kinds))
        while True:
            pause = self._rng.uniform(*every)
            if time.monotonic() + pause > until and not first:
                break
            time.sleep(pause)
            kind = first.pop() if first else self._rng.choice(kinds)
            if self._kinds[kind]():
                self.kills[kind] += 1
            else:
                first.insert(0, kind)  # it is being started just now
        time.sleep(max(until - time.monotonic(), 0))

    def _pause(self) -> None:
        time.sleep(self._rng.uniform(*AWAY_SECONDS))

    def _pool_process(self) -> bool:
        """Kill a child of a Celery process; False while there is none."""
        with suppress(psutil.NoSuchProcess):
            for parent in psutil.Process(self._process.pid).children():
                pool = parent.children()
                if pool and "experts" in parent.cmdline():
                    self._rng.choice(pool).kill()
                    return True
        return False

    def _worker(self) -> bool:
        kill_tree(self._process.pid)
        self._process.wait()
        self._start_worker()
        return True

    def _web_process(self) -> bool:
        with suppress(psutil.NoSuchProcess):
            if served := psutil.Process(self._site_pid).children():
                self._rng.choice(served).kill()
                return True
        return False

    def _redis(self) -> bool:
        port = kill_redis(self._scene)
        self._pause()
        start_redis(self._scene, port)
        return True

    def _postgresql(self) -> bool:
        kill_postgres(self._scene)
        self._pause()
        start_postgres(self._scene)
        return True
