"""Several steps on several days: each begins when what it reads is there, so many at once as are allowed.

What needs what is not written down anywhere: a step says which days of which datasets it reads and writes. A failure
stops only what needs it; the rest goes on, and the end names every failure and everything that was left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TypeVar

from pipeline.config import Config
from pipeline.days import Day
from pipeline.errors import PipelineError
from pipeline.spark_errors import in_a_line, known
from pipeline.step import Step

Result = TypeVar("Result")


@dataclass(frozen=True)
class Task:
    """A step on a day; two are the same when these are."""

    name: str
    day: Day
    step: Step = field(compare=False)

    def __str__(self) -> str:
        return f"{self.name} {self.day}"


def tasks_of(steps: Sequence[Step], days: Iterable[Day]) -> list[Task]:
    """Day by day, the steps in the order of the road: what a task needs comes before it."""
    return [Task(step.name, day, step) for day in days for step in steps]


def needs(config: Config, tasks: Sequence[Task]) -> dict[Task, set[Task]]:
    """For each task those whose output it, or its check, reads."""
    makers = {(dataset.name, task.day): task for task in tasks for dataset in task.step.writes(config)}
    return {task: {*_read(config, task, makers), *_before(task, tasks)} for task in tasks}


def _read(config: Config, task: Task, makers: Mapping[tuple[str, Day], Task]) -> Iterator[Task]:
    for entry in task.step.reads(config, task.day).values():
        yield from (makers[entry.dataset.name, day] for day in entry.days if (entry.dataset.name, day) in makers)


def _before(task: Task, tasks: Sequence[Task]) -> Iterator[Task]:
    if task.step.in_day_order:
        yield from (other for other in tasks if other.name == task.name and other.day < task.day)


class Schedule:
    """Runs tasks; afterwards `failed` has the errors, `left` what was not begun because of them."""

    def __init__(self, needed: Mapping[Task, set[Task]], at_once: int = 1) -> None:
        if at_once < 1:
            raise ValueError(f"at least one task runs at a time, got {at_once}")
        self._needed, self._at_once = needed, at_once
        self.failed: dict[Task, Exception] = {}
        self.left: list[Task] = []

    def run(self, work: Callable[[Task], Result], stop: Callable[[], None] = lambda: None) -> Iterator[Result]:
        """The result of each task that ends well, as they end. `stop` is called when the caller is interrupted."""
        waiting, done, running = list(self._needed), set[Task](), dict[Future[Result], Task]()
        with self._executor() as pool:
            try:
                while waiting or running:
                    for task in self._ready(waiting, done, self._at_once - len(running)):
                        waiting.remove(task)
                        running[pool.submit(work, task)] = task
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        task = running.pop(future)
                        if error := future.exception():
                            self._fail(task, error, waiting)
                        else:
                            done.add(task)
                            yield future.result()
            except BaseException:
                stop()
                raise

    def check(self) -> None:
        """Raise the failure, or an error that names all of them and what was left."""
        if not self.failed:
            return
        first = next(iter(self.failed.values()))
        if len(self.failed) == 1 and not self.left:
            raise first
        ours = {task: _ours(error) for task, error in self.failed.items()}
        kinds = {type(error) for error in ours.values()}
        lines = [f"{len(ours)} of {len(self._needed)} failed", *(f"{task}: {error}" for task, error in ours.items())]
        if self.left:
            lines.append(f"left, because of what they read: {', '.join(map(str, self.left))}")
        lines.append("The rest is done. The same command goes on where these stopped")
        raise (kinds.pop() if len(kinds) == 1 else PipelineError)("\n".join(lines)) from first

    def _executor(self) -> AbstractContextManager[Executor]:
        return ThreadPoolExecutor(self._at_once) if self._at_once > 1 else _Here()

    def _ready(self, waiting: Sequence[Task], done: set[Task], free: int) -> list[Task]:
        return [task for task in waiting if self._needed[task] <= done][:free]

    def _fail(self, task: Task, error: BaseException, waiting: list[Task]) -> None:
        if not isinstance(error, Exception):
            raise error
        self.failed[task] = error
        for other in list(waiting):  # in order: what is left is known before those that need it
            if not self._needed[other].isdisjoint([*self.failed, *self.left]):
                waiting.remove(other)
                self.left.append(other)


class _Here(Executor):
    """Runs what is submitted at once, in the caller's thread: an interrupt reaches it."""

    def submit(self, fn, /, *args, **kwargs):  # type: ignore[no-untyped-def]
        future: Future[object] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def _ours(error: Exception) -> PipelineError:
    found = error if isinstance(error, PipelineError) else known(error)
    return found or PipelineError(in_a_line(error))
