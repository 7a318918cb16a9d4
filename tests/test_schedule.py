"""What runs beside what, in which order, and what a failure stops: no Spark is needed to say it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path

import pytest

from pipeline.config import Config, load_config
from pipeline.errors import MissingInput, PipelineError, Refused
from pipeline.road import CLEAN, DAILY, DATA_STEPS, EXAMPLES, PROFILES, VOCAB
from pipeline.schedule import Schedule, Task, needs, tasks_of

DAYS = [date(2026, 1, 5) + timedelta(days=i) for i in range(3)]


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(Path(__file__).parent.parent / "conf" / "live.toml", [])


def run(schedule: Schedule, fails: Callable[[Task], Exception | None] = lambda task: None) -> list[str]:
    def work(task: Task) -> str:
        if error := fails(task):
            raise error
        return str(task)

    return list(schedule.run(work))


def test_a_task_needs_what_writes_what_it_reads(config: Config) -> None:
    tasks = tasks_of(DATA_STEPS, DAYS)
    needed = {str(task): {str(other) for other in found} for task, found in needs(config, tasks).items()}
    assert needed["clean_logs 2026-01-05"] == set()
    assert needed["clean_logs 2026-01-07"] == {"clean_logs 2026-01-05", "clean_logs 2026-01-06"}  # lookback_days = 2
    assert needed["build_vocab 2026-01-06"] == {"clean_logs 2026-01-06", "build_vocab 2026-01-05"}
    assert "build_profiles 2026-01-07" not in needed["build_examples 2026-01-07"]
    assert {"build_profiles 2026-01-06", "build_vocab 2026-01-06"} <= needed["build_examples 2026-01-07"]
    judged = {"build_statistics 2026-01-05", "build_statistics 2026-01-06"}  # its check holds a day against these
    assert judged <= needed["build_statistics 2026-01-07"]
    alone = needs(config, tasks_of([EXAMPLES], DAYS))
    assert not any(alone.values()), "examples of several days are built side by side"
    assert [len(found) for found in needs(config, tasks_of([PROFILES], DAYS)).values()] == [0, 1, 1]


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_nothing_begins_before_what_it_needs(config: Config, at_once: int) -> None:
    needed = needs(config, tasks_of(DATA_STEPS, DAYS))
    done: list[str] = []
    lock = threading.Lock()

    def work(task: Task) -> str:
        with lock:
            assert {str(other) for other in needed[task]} <= {*done}
            done.append(str(task))
        return str(task)

    schedule = Schedule(needed, at_once)
    assert sorted(schedule.run(work)) == sorted(map(str, needed))
    schedule.check()


def test_so_many_run_at_once_as_are_allowed_and_no_more(config: Config) -> None:
    """Three are allowed: each waits until three are there. A fourth beside them would be seen."""
    days = [DAYS[0] + timedelta(days=i) for i in range(6)]
    together, running, most = threading.Barrier(3), set[Task](), list[int]()

    def work(task: Task) -> Task:
        running.add(task)
        together.wait(30)
        most.append(len(running))
        together.wait(30)
        running.discard(task)
        return task

    assert len(list(Schedule(needs(config, tasks_of([EXAMPLES], days)), 3).run(work))) == 6
    assert max(most) == 3


def test_one_at_a_time_is_the_order_of_the_road(config: Config) -> None:
    tasks = tasks_of(DATA_STEPS, DAYS)
    assert run(Schedule(needs(config, tasks))) == list(map(str, tasks))


@pytest.mark.parametrize("at_once", [1, 3])
def test_a_failure_stops_what_needs_it_and_nothing_else(config: Config, at_once: int) -> None:
    schedule = Schedule(needs(config, tasks_of(DATA_STEPS, DAYS)), at_once)
    done = run(schedule, lambda task: Refused("budget") if str(task) == "build_vocab 2026-01-06" else None)
    assert set(map(str, schedule.left)) == {
        "build_vocab 2026-01-07", "build_examples 2026-01-07", "build_statistics 2026-01-07",
    }  # fmt: skip
    assert len(done) == len(DATA_STEPS) * len(DAYS) - 4
    with pytest.raises(Refused) as told:
        schedule.check()
    assert str(told.value).splitlines() == [
        f"1 of {len(DATA_STEPS) * len(DAYS)} failed",
        "build_vocab 2026-01-06: budget",
        (
            "left, because of what they read: build_vocab 2026-01-07, build_examples 2026-01-07, "
            "build_statistics 2026-01-07"
        ),
        "The rest is done. The same command goes on where these stopped",
    ]


def failing(steps: Sequence[str]) -> Callable[[Task], Exception | None]:
    errors = {"build_daily": MissingInput("not there"), "build_examples": RuntimeError("strange")}
    return lambda task: errors[task.name] if task.name in steps else None


def test_one_failure_alone_is_raised_as_it_is_and_several_are_named(config: Config) -> None:
    alone = Schedule(needs(config, tasks_of([DAILY], DAYS[:1])))
    assert run(alone, failing(["build_daily"])) == []
    with pytest.raises(MissingInput, match=r"^not there$"):
        alone.check()
    several = Schedule(needs(config, tasks_of([DAILY, EXAMPLES], DAYS[:1])), 2)
    assert run(several, failing(["build_daily", "build_examples"])) == []
    with pytest.raises(PipelineError, match=r"(?s)2 of 2 failed.*RuntimeError: strange") as told:
        several.check()
    assert type(told.value) is PipelineError


@pytest.mark.parametrize("at_once", [1, 2])
def test_an_interrupt_stops_what_runs(config: Config, at_once: int) -> None:
    stopped = []
    schedule = Schedule(needs(config, tasks_of([CLEAN, VOCAB], DAYS)), at_once)

    def work(task: Task) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(schedule.run(work, lambda: stopped.append(True)))
    assert stopped == [True]
    with pytest.raises(ValueError, match="at least one task"):
        Schedule({}, 0)
