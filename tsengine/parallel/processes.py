"""The processes of one training: started fresh, talked to in JSON lines over pipes, watched, and ended to the last."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from tsengine.parallel.errors import TrainingFailure

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""One BLAS thread a worker: more would fight for the same cores."""
Message = dict[str, Any]


class Processes:
    """Workers by rank. Leaving the block ends them, however it is left."""

    def __init__(self, count: int) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []
        self._unread: list[bytes] = []
        self._done: set[int] = set()
        self._count = count

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        self.end(grace_s=0.0)

    def start(self, greeting: Mapping[str, Any]) -> None:
        """Start them all and tell each the same."""
        path = os.pathsep.join(part for part in sys.path if part)
        environment = {**os.environ, **dict.fromkeys(THREADS, "1"), "PYTHONPATH": path}
        for rank in range(self._count):
            arguments = [str(rank), str(self._count), str(os.getpid())]
            command = [sys.executable, "-m", "tsengine.parallel.worker", *arguments]
            self._processes.append(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
            )
            self._unread.append(b"")
        self.tell(greeting)

    def tell(self, message: Mapping[str, Any]) -> None:
        """Send one line to every worker."""
        line = json.dumps(message).encode() + b"\n"
        for process in self._processes:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # its death is reported by the pipe that we read
                process.stdin.write(line)
                process.stdin.flush()

    def messages(self) -> Iterator[Message]:
        """What workers say, as it comes, until all are done.

        Raises TrainingFailure at the first that failed, or died without a word.
        """
        with selectors.DefaultSelector() as selector:
            for rank, process in enumerate(self._processes):
                assert process.stdout is not None
                selector.register(process.stdout, selectors.EVENT_READ, rank)
            while len(self._done) < self._count:
                for key, _ in selector.select():
                    block = os.read(key.fd, 1 << 16)
                    if not block:
                        selector.unregister(key.fileobj)
                    yield from self._heard(key.data, block)

    def _heard(self, rank: int, block: bytes) -> Iterator[Message]:
        if not block and rank not in self._done:
            raise TrainingFailure(self._death(rank))
        *lines, self._unread[rank] = (self._unread[rank] + block).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if message["event"] == "failed":
                raise TrainingFailure(f"worker {rank} failed: {message['reason']}\n{message['traceback']}".rstrip())
            if message["event"] == "done":
                self._done.add(rank)
            yield message

    def _death(self, rank: int) -> str:
        process = self._processes[rank]
        code = process.wait()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return f"worker {rank} (process {process.pid}) {how}; the same run goes on from its last checkpoint"

    def end(self, grace_s: float) -> None:
        """Wait so long for them to leave by themselves, then kill; nobody is left when this returns."""
        deadline = time.monotonic() + grace_s
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()
        self._processes.clear()
