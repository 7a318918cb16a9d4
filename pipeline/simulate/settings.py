"""How large the simulated service is, and how dirty its logs are."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field, fields
from zoneinfo import ZoneInfo

import numpy as np
import xxhash
from numpy.typing import NDArray

from pipeline.errors import ConfigError

SOURCES = ("events", "users", "streamers", "rooms")
"""What the collector keeps apart; each has a file, be it empty, on every day."""
DAY_MS = 86_400_000
HOUR_MS = 3_600_000


@dataclass(frozen=True)
class DirtRates:
    """Share of the lines that a kind may fall on (all lines, or the watch and gift lines for the last four)."""

    truncated_json: float = 0.0015
    garbage_json: float = 0.0010
    invalid_utf8: float = 0.0010
    missing_id: float = 0.0015
    unknown_event_type: float = 0.0010
    ts_seconds: float = 0.0030
    ts_iso: float = 0.0030
    future_clock: float = 0.0010
    exact_duplicate: float = 0.0030
    resent: float = 0.0030
    next_day: float = 0.0030
    far_too_late: float = 0.0015
    not_on_air: float = 0.0015
    negative_duration: float = 0.0050
    absurd_duration: float = 0.0050
    negative_amount: float = 0.0400
    absurd_amount: float = 0.0400


@dataclass(frozen=True)
class SimulationConfig:
    """The whole input of the simulation; the defaults give about a million lines in eight days."""

    seed: int = 7
    first_day: datetime.date = datetime.date(2026, 1, 1)
    days: int = 8
    day_zone: str = "Asia/Shanghai"
    users: int = 2400
    streamers: int = 3600
    users_per_block: int = 300
    bots_per_block: int = 1
    lookback_days: int = 2
    dirt: DirtRates = field(default_factory=DirtRates)

    def __post_init__(self) -> None:
        """Raise ConfigError, with every fault, where no honest service of this size can be simulated."""
        least = {"users": 1, "streamers": 1, "days": 1, "users_per_block": 1, "bots_per_block": 0, "lookback_days": 1}
        faults = [
            f"{name} must be at least {floor}, got {getattr(self, name)}"
            for name, floor in least.items()
            if getattr(self, name) < floor
        ]
        rates = {rate.name: getattr(self.dirt, rate.name) for rate in fields(self.dirt)}
        faults += [
            f"dirt.{name} must be between 0 and 1, got {rate}" for name, rate in rates.items() if not 0 <= rate <= 1
        ]
        if sum(rates.values()) > 1:
            faults.append(f"the rates of dirt must sum to at most 1, got {sum(rates.values()):g}: a line has one fault")
        if faults:
            raise ConfigError("the simulation cannot be built: " + "; ".join(faults))

    @property
    def blocks(self) -> int:
        """How many user blocks there are."""
        return -(-self.users // self.users_per_block)

    @property
    def dates(self) -> list[datetime.date]:
        """Day 0, 1, …"""
        return [self.first_day + datetime.timedelta(days=i) for i in range(self.days)]

    @property
    def day_starts(self) -> NDArray[np.int64]:
        """Epoch milliseconds at which day 0, 1, … begin in the zone; one more than there are days."""
        midnight = datetime.datetime.combine(self.first_day, datetime.time(), tzinfo=ZoneInfo(self.day_zone))
        starts = [midnight + datetime.timedelta(days=i) for i in range(self.days + 1)]
        return np.array([round(start.timestamp()) * 1000 for start in starts], dtype=np.int64)


def generator(config: SimulationConfig, stream: str, index: int = 0) -> np.random.Generator:
    """The random numbers of one purpose and one block: keyed, so that no order of calls matters."""
    key = xxhash.xxh128_intdigest(f"{config.seed}/{stream}/{index}".encode())
    return np.random.Generator(np.random.Philox(key=key))
