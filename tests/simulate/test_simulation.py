"""The simulated service is a pure function of its seed, as hard as it claims to be, and honest about its dirt."""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from pipeline.errors import ConfigError
from pipeline.simulate import (
    BlockLogs,
    DirtRates,
    SimulationConfig,
    World,
    build_world,
    simulate_block,
    simulate_catalog,
)
from pipeline.simulate.dirt import FATES

DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(SimulationConfig())


@pytest.fixture(scope="module")
def blocks(world: World) -> list[BlockLogs]:
    return [simulate_block(world, block) for block in range(world.config.blocks)]


@pytest.fixture(scope="module")
def truth(blocks: list[BlockLogs]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([block.exposures[name] for block in blocks]) for name in blocks[0].exposures}


def gini(counts: np.ndarray) -> float:
    ordered = np.sort(counts)
    places = np.arange(1, len(ordered) + 1)
    return float(2 * (places * ordered).sum() / (len(ordered) * ordered.sum()) - (len(ordered) + 1) / len(ordered))


def test_about_a_million_lines_in_eight_days(blocks: list[BlockLogs], world: World) -> None:
    logs = [*blocks, simulate_catalog(world)]
    lines = sum(len(lines) for log in logs for lines in log.lines.values())
    assert 0.9e6 < lines < 1.1e6
    assert {day for log in logs for _, day in log.lines} == set(range(8))


def test_a_block_is_a_pure_function(blocks: list[BlockLogs]) -> None:
    again = simulate_block(build_world(SimulationConfig()), 3)
    assert (again.lines, again.dirt) == (blocks[3].lines, blocks[3].dirt)
    other = simulate_block(build_world(SimulationConfig(seed=8)), 3)
    assert other.lines != again.lines


def test_the_oracle_is_good_but_not_perfect(truth: Mapping[str, np.ndarray]) -> None:
    assert 0.75 <= roc_auc_score(truth["entered"], truth["p_true"]) <= 0.80
    assert 0.10 <= truth["entered"].mean() <= 0.25
    tenths = np.digitize(truth["p_true"], np.quantile(truth["p_true"], np.arange(0.1, 1, 0.1)))
    for tenth in range(10):
        inside = tenths == tenth
        assert truth["entered"][inside].mean() == pytest.approx(truth["p_true"][inside].mean(), abs=0.006), "calibrated"


def test_observed_attributes_explain_at_most_a_third_of_the_logit(
    truth: Mapping[str, np.ndarray], world: World
) -> None:
    some = np.random.default_rng(1).permutation(len(truth["p_true"]))[:150_000]
    truth = {name: column[some] for name, column in truth.items()}
    logit = np.log(truth["p_true"] / (1 - truth["p_true"]))
    streamers, shown = world.streamers, truth["streamer"]
    people = [truth[name] for name in ("age", "gender", "city", "device")]
    items = [getattr(streamers, name)[shown] for name in ("category", "gender", "level", "language")]
    pairs = [a * 100 + b for a in people for b in items]
    columns = [_one_hot(column) for column in (*people, *items, *pairs)]
    table = sparse.hstack(columns).tocsr()
    assert 0.05 < Ridge(1.0).fit(table, logit).score(table, logit) <= 1 / 3
    taste = truth["logit_taste"].var() / logit.var()
    assert taste > 0.35, "most of what is to be learnt shows in behaviour only"


def _one_hot(values: np.ndarray) -> sparse.csr_matrix:
    _, codes = np.unique(values, return_inverse=True)
    return sparse.csr_matrix((np.ones(len(codes)), (np.arange(len(codes)), codes)))


def test_taste_drifts_slowly(world: World) -> None:
    from pipeline.simulate.behaviour import make_users

    taste = make_users(world, 0).taste
    correlation = [np.corrcoef(taste[0].ravel(), taste[day].ravel())[0, 1] for day in (1, 7)]
    assert 0.97 < correlation[0] < 0.995
    assert 0.85 < correlation[1] < 0.95


def test_popularity_and_activity_have_heavy_tails(truth: Mapping[str, np.ndarray], world: World) -> None:
    assert gini(np.bincount(truth["user"], minlength=world.config.users)) > 0.5
    assert gini(np.bincount(truth["streamer"], minlength=world.config.streamers)) > 0.5


def test_half_of_the_late_streamers_are_new(truth: Mapping[str, np.ndarray], world: World) -> None:
    earlier = np.bincount(truth["streamer"][truth["day"] < 6], minlength=world.config.streamers)
    late = np.unique(truth["streamer"][truth["day"] >= 6])
    assert (earlier[late] < 50).mean() >= 0.5


def test_position_matters_by_itself(truth: Mapping[str, np.ndarray]) -> None:
    rates = [truth["entered"][truth["position"] == place].mean() for place in range(10)]
    assert rates[0] > 1.4 * rates[9]


def parsed(blocks: list[BlockLogs]) -> list[dict[str, Any]]:
    """The lines of all blocks that carry no dirt."""
    spoilt = {row[2] for block in blocks for row in block.dirt}
    lines = (
        line for block in blocks for (source, _), found in block.lines.items() if source == "events" for line in found
    )
    rows = []
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and row.get("id") not in spoilt:
            rows.append(row)
    return rows


def test_an_entry_belongs_to_exactly_one_exposure(blocks: list[BlockLogs]) -> None:
    rows = parsed(blocks[:2])
    shows: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        if row["action"] == "show":
            shows.setdefault((row["uid"], row["room"]), []).append(row["ts"])
    enters = [row for row in rows if row["action"] == "enter_room"]
    found = Counter(
        sum(t < row["ts"] <= t + 60_000 for t in shows.get((row["uid"], row["room"]), ())) for row in enters
    )
    assert found[1] / len(enters) > 0.96, "the others lost their exposure to dirt"
    assert set(found) <= {0, 1}


def test_clocks_and_rooms_are_in_order(blocks: list[BlockLogs], world: World) -> None:
    rooms = world.rooms
    for row in parsed(blocks[:1]):
        room = int(row["room"][1:])
        assert 100 <= row["recv"] - row["ts"] <= 5000
        assert rooms.start[room] < rooms.start_known[room] <= row["ts"] - 10_000
        assert row["ts"] <= rooms.end[room] + (0 if row["action"] == "show" else 2_500)
        assert row["anchor"] == f"s{rooms.streamer[room]:05d}"


def test_every_kind_of_dirt_is_there_and_where_it_says(blocks: list[BlockLogs], world: World) -> None:
    kinds = Counter(kind for block in blocks for _, _, _, kind, _ in block.dirt)
    assert set(kinds) == {*FATES, "robot"}
    assert min(kinds.values()) >= 200
    share = sum(n for kind, n in kinds.items() if kind != "robot") / sum(
        len(v) for b in blocks for v in b.lines.values()
    )
    assert 0.02 < share < 0.04
    for block in blocks[:2]:
        ids = Counter((day, id_) for _, day, id_, kind, _ in block.dirt)
        assert max(ids.values()) == 1, "at most one kind a line"


def test_broken_lines_are_broken_and_repaired_ones_say_the_same(blocks: list[BlockLogs], world: World) -> None:
    starts = world.config.day_starts
    by_id: dict[str, list[bytes]] = {}
    for block in blocks[:3]:
        for (source, _), lines in block.lines.items():
            for line in lines if source == "events" else ():
                if line.startswith(b'{"id":"') and line[7:23].isalnum():
                    by_id.setdefault(line[7:23].decode(), []).append(line)
    seen = Counter[str]()
    for block in blocks[:3]:
        times = dict(zip(block.exposures["example_id"].tolist(), block.exposures["time_ms"].tolist(), strict=True))
        for _, _, id_, kind, fate in block.dirt:
            for line in by_id.get(id_, []):
                if fate == "malformed":
                    with pytest.raises(ValueError):
                        json.loads(line)
                elif kind == "ts_iso" and id_ in times:
                    assert (
                        round(datetime.datetime.fromisoformat(json.loads(line)["ts"]).timestamp() * 1000) == times[id_]
                    )
                elif kind == "ts_seconds" and id_ in times:
                    assert json.loads(line)["ts"] == times[id_] // 1000
                elif kind == "far_too_late":
                    row = json.loads(line)
                    assert (
                        np.searchsorted(starts, row["recv"], "right") - np.searchsorted(starts, row["ts"], "right") >= 3
                    )
                seen[kind] += 1
            assert (len(by_id.get(id_, [])) >= 2) or kind not in ("exact_duplicate",)
    assert seen["ts_iso"] > 100
    assert seen["truncated_json"] > 100


def test_re_sent_lines_come_on_every_day_that_the_look_back_covers(blocks: list[BlockLogs]) -> None:
    days_apart = Counter[int]()
    for block in blocks[:3]:
        resent = {id_: day for _, day, id_, kind, _ in block.dirt if kind == "resent"}
        first = dict.fromkeys(resent, 99)
        for (source, day), lines in block.lines.items():
            for line in lines if source == "events" else ():
                id_ = line[7:23].decode("latin-1")
                first[id_] = min(first.get(id_, 99), day) if id_ in resent else 99
        days_apart.update(resent[id_] - first[id_] for id_ in resent)
    assert set(days_apart) == {0, 1, 2}
    assert min(days_apart.values()) > 50


def test_a_missing_id_is_null_or_empty_or_not_there(blocks: list[BlockLogs]) -> None:
    ids = {id_ for block in blocks[:3] for _, _, id_, kind, _ in block.dirt if kind == "missing_id"}
    ways = Counter[str]()
    for row in parsed(blocks[:3]):
        ways.update(str(row.get(name, "absent")) for name in ("id", "uid", "anchor") if not row.get(name))
    assert set(ways) == {"None", "", "absent"}
    assert sum(ways.values()) < len(ids), "only those that lost their id are left: the others are known as dirt"


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Kolkata"])
def test_days_of_25_hours_and_zones_off_the_hour(zone: str) -> None:
    config = SimulationConfig(
        day_zone=zone, first_day=datetime.date(2026, 10, 24), days=4, users=200, users_per_block=200, lookback_days=1
    )
    summer, winter = np.diff(config.day_starts)[:2] / 3_600_000
    assert (summer, winter) == (24, 25 if zone == "Europe/Berlin" else 24)
    logs = simulate_block(build_world(config), 0)
    late = [day for _, day, _, kind, _ in logs.dirt if kind == "far_too_late"]
    assert {day for _, day in logs.lines} == {0, 1, 2, 3}
    assert late
    assert min(late) >= 2


def test_a_service_without_robots_and_without_requests_is_simulated_too() -> None:
    world = build_world(SimulationConfig(days=1, users=1, streamers=3, bots_per_block=0))
    logs = simulate_block(world, 0)
    assert sum(len(lines) for (source, _), lines in logs.lines.items() if source == "users") <= 2
    assert len(logs.exposures["p_true"]) == len(logs.exposures["visible"])


def test_an_impossible_service_is_refused_with_every_fault() -> None:
    with pytest.raises(ConfigError) as caught:
        SimulationConfig(users=0, lookback_days=0, dirt=DirtRates(resent=-0.5, next_day=2.0))
    assert str(caught.value) == (
        "the simulation cannot be built: users must be at least 1, got 0; lookback_days must be at least 1, got 0; "
        "dirt.resent must be between 0 and 1, got -0.5; dirt.next_day must be between 0 and 1, got 2.0; "
        "the rates of dirt must sum to at most 1, got 1.609: a line has one fault"
    )


def test_what_arrives_after_the_last_day_is_not_delivered(blocks: list[BlockLogs], world: World) -> None:
    short = build_world(dataclasses.replace(world.config, days=2))
    logs = simulate_block(short, 0)
    last = int(short.config.day_starts[-1])
    received = [
        json.loads(line)["recv"] for (source, _), lines in logs.lines.items() if source == "users" for line in lines
    ]
    assert max(received) < last
    assert {day for _, day in logs.lines} == {0, 1}
    assert not any(kind == "far_too_late" for _, _, _, kind, _ in logs.dirt), (
        "nothing can be three days late in two days"
    )
