"""What users do: page requests, what they are shown, whether they enter (the true probability), and what follows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.simulate.settings import DAY_MS, HOUR_MS, generator
from pipeline.simulate.world import AGES, DIMENSIONS, GENDERS, HOURS, SLOT_MS, Floats, Ints, World

PAGE = 10
GAP_MS = 95_000
"""Between two requests of a user, so that an entry within a minute belongs to one exposure."""
REQUESTS_PER_HOUR = 15
"""No person asks for more pages in a clock hour; robots do."""
ROBOT_EXPOSURES = 350
"""What a robot sees at least in each hour that it works."""
SCENES = ("feed", "follow", "search", "nearby")
SCENE_SHARE = np.array([0.62, 0.14, 0.10, 0.14])
SCENE_EFFECT = np.array([-0.15, 0.45, 0.30, -0.25])
HOUR_EFFECT = 0.25 * np.sin((np.arange(24) - 15) / 24 * 2 * np.pi)
POSITION_EFFECT = -0.40 * np.log1p(np.arange(PAGE)) + 0.60
BASE = -2.15
TASTE, PROPENSITY, QUALITY, OBSERVED = 0.90, 0.45, 0.48, 0.50
"""Standard deviations of the parts of the true logit."""
DRIFT = 0.985
"""How much of a user's taste is still there a day later."""


@dataclass(frozen=True)
class Users:
    """One entry a user of the block; `taste` is [days, users, dimensions]."""

    number: Ints
    age: Ints
    gender: Ints
    city: Ints
    device: Ints
    registered: Ints
    activity: Floats
    propensity: Floats
    taste: Floats
    bot: NDArray[np.bool_]


@dataclass(frozen=True)
class Exposures:
    """One entry an exposure: who, what, when, where on the page, and the truth."""

    user: Ints
    room: Ints
    time: Ints
    position: Ints
    scene: Ints
    probability: Floats
    entered: NDArray[np.bool_]
    bot: NDArray[np.bool_]
    parts: dict[str, Floats]


def make_users(world: World, block: int) -> Users:
    """The people of a block, and its robots, which come last."""
    config, rng = world.config, generator(world.config, "users", block)
    first = block * config.users_per_block
    n = min(config.users_per_block, config.users - first)
    bot = np.arange(n) >= n - config.bots_per_block
    registered = np.where(
        rng.random(n) < 0.85,
        config.day_starts[0] - (rng.exponential(200, size=n) * DAY_MS).astype(np.int64),
        config.day_starts[0] + (rng.random(n) * config.days * DAY_MS).astype(np.int64),
    )
    registered = np.where(bot, config.day_starts[0] - DAY_MS, registered)
    steps = rng.normal(size=(config.days, n, DIMENSIONS))
    taste = np.empty_like(steps)
    taste[0] = steps[0]
    for day in range(1, config.days):
        taste[day] = DRIFT * taste[day - 1] + np.sqrt(1 - DRIFT**2) * steps[day]
    return Users(
        number=np.arange(first, first + n),
        age=rng.choice(len(AGES), size=n, p=[0.06, 0.28, 0.30, 0.19, 0.11, 0.06]),
        gender=rng.choice(len(GENDERS), size=n, p=[0.46, 0.48, 0.06]),
        city=np.minimum(rng.geometric(0.12, size=n) - 1, 29),
        device=rng.choice(4, size=n, p=[0.5, 0.33, 0.12, 0.05]),
        registered=registered,
        activity=np.exp(rng.normal(0.05, 1.15, size=n)),
        propensity=rng.normal(size=n),
        taste=taste,
        bot=bot,
    )


def make_exposures(world: World, users: Users, block: int) -> Exposures:
    """All exposures of a block in order of (user, time, position)."""
    rng = generator(world.config, "exposures", block)
    user, time, scene = _requests(world, users, rng)
    request, room, position = _pages(world, users, user, time, rng)
    user, scene = user[request], scene[request]
    shown = time[request] + 200 * position
    parts = _logit(world, users, user, room, shown, position, scene)
    probability = 1 / (1 + np.exp(-np.sum(list(parts.values()), axis=0)))
    bot = users.bot[user]
    entered = (rng.random(len(user)) < probability) & ~bot
    return Exposures(user, room, shown, position, scene, probability, entered, bot, parts)


def _requests(world: World, users: Users, rng: np.random.Generator) -> tuple[Ints, Ints, Ints]:
    """Users, times and scenes of page requests, by (user, time); the robots, who are the last users, at the end."""
    config = world.config
    sessions = rng.poisson(users.activity[:, None] * 0.46 * np.ones((1, config.days)))
    sessions[users.bot] = 0
    user, day = (np.repeat(axis, sessions.ravel()) for axis in np.divmod(np.arange(sessions.size), config.days))
    hour = rng.choice(24, size=len(user), p=HOURS / HOURS.sum())
    begin = config.day_starts[day] + hour * HOUR_MS + rng.integers(0, HOUR_MS, size=len(user))
    length = rng.geometric(0.28, size=len(user))
    session = np.repeat(np.arange(len(user)), length)
    place = np.arange(len(session)) - np.repeat(np.cumsum(length) - length, length)
    time = begin[session] + place * 150_000 + rng.integers(0, 50_000, size=len(session))
    user = user[session]
    bot_user, bot_time = _robots(world, users, rng)
    user, time = _spaced(user, time)  # robots enter nothing: they need no pauses
    user, time = np.concatenate([user, bot_user]), np.concatenate([time, bot_time])
    kept = (time >= users.registered[user] + 60_000) & (time < config.day_starts[-1]) & _unhurried(users, user, time)
    user, time = user[kept], time[kept]
    return user, time, rng.choice(len(SCENES), size=len(user), p=SCENE_SHARE)


def _robots(world: World, users: Users, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Every robot works two full clock hours (of UTC) on two days, at the beat of a machine."""
    config, number = world.config, np.flatnonzero(users.bot)
    often = min(2, config.days)
    day = np.array([rng.choice(config.days, size=often, replace=False) for _ in number], dtype=np.int64)
    day = day.reshape(len(number), often)
    begin = np.sort((config.day_starts[day] // HOUR_MS + rng.integers(8, 20, size=day.shape)) * HOUR_MS, axis=1)
    works = [
        (robot, hour + more)
        for robot, hours in zip(number, begin, strict=True)
        for hour in hours
        for more in (0, HOUR_MS)
    ]
    times = [_beat(world, int(hour)) for _, hour in works]
    user = np.repeat(np.array([robot for robot, _ in works], dtype=np.int64), [len(time) for time in times])
    return user, np.concatenate([*times, np.empty(0, dtype=np.int64)])


def _beat(world: World, hour: int) -> Ints:
    """A robot's requests in an hour: evenly, so many that it sees ROBOT_EXPOSURES; none while nothing is on air."""
    slots = (np.array([hour, hour + HOUR_MS - 1]) - world.config.day_starts[0]) // SLOT_MS
    shown = min(min(PAGE, len(rooms)) for rooms in world.on_air[slots[0] : slots[1] + 1])
    pages = -(-ROBOT_EXPOSURES // shown) if shown else 0
    return hour + 1000 + np.arange(pages) * (3_500_000 // max(pages, 1))


def _spaced(user: Ints, time: Ints) -> tuple[Ints, Ints]:
    """Sorted by (user, time), each at least GAP_MS after the one before."""
    order = np.lexsort((time, user))
    user, time = user[order], time[order]
    if not len(user):
        return user, time
    base = time.min()
    offset = user * (np.int64(1) << 42)  # keeps users apart in one running maximum
    pushed = np.maximum.accumulate(time - base - GAP_MS * np.arange(len(time)) + offset + GAP_MS * _first_place(user))
    return user, pushed - offset - GAP_MS * _first_place(user) + GAP_MS * np.arange(len(time)) + base


def _first_place(user: Ints) -> Ints:
    return np.searchsorted(user, user, side="left")


def _unhurried(users: Users, user: Ints, time: Ints) -> NDArray[np.bool_]:
    """The first few requests of a person's clock hour; all of a robot's."""
    hour = user * 1_000_000 + time // HOUR_MS  # hours since 1970 are below a million
    place = np.arange(len(hour)) - np.searchsorted(hour, hour, side="left")
    return (place < REQUESTS_PER_HOUR) | users.bot[user]


def _pages(world: World, users: Users, user: Ints, time: Ints, rng: np.random.Generator) -> tuple[Ints, Ints, Ints]:
    """Request, room and position of every exposure: rooms on air, by popularity and the user's leaning."""
    leaning = users.taste[0] @ world.centres.T / np.sqrt(DIMENSIONS)
    slot = (time - world.config.day_starts[0]) // SLOT_MS
    noise = generator(world.config, "pages", int(users.number[0]))
    nothing = np.empty(0, dtype=np.int64)
    found: list[tuple[Ints, Ints, Ints]] = [(nothing, nothing, nothing)]
    for here in np.unique(slot):
        rooms, asked = world.on_air[here], np.flatnonzero(slot == here)
        streamer = world.rooms.streamer[rooms]
        weight = (
            np.log(world.streamers.popularity[streamer])[None]
            + 0.4 * leaning[user[asked]][:, world.streamers.category[streamer]]
        )
        size = min(PAGE, len(rooms))
        drawn = np.argsort(-(weight + noise.gumbel(size=weight.shape)), axis=1, kind="stable")[:, :size]
        drawn = noise.permuted(drawn, axis=1)
        found.append((np.repeat(asked, size), rooms[drawn].ravel(), np.tile(np.arange(size), len(asked))))
    request, room, position = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.lexsort((position, request))
    return request[order], room[order], position[order]


def _logit(
    world: World, users: Users, user: Ints, room: Ints, time: Ints, position: Ints, scene: Ints
) -> dict[str, Floats]:
    """The parts of the true logit of every exposure."""
    config, streamers = world.config, world.streamers
    streamer = world.rooms.streamer[room]
    day = np.searchsorted(config.day_starts, time, side="right") - 1
    day = np.clip(day, 0, config.days - 1)
    hour = (time - config.day_starts[day]) // HOUR_MS
    taste = np.einsum("nd,nd->n", users.taste[day, user], streamers.vector[streamer]) / np.sqrt(DIMENSIONS)
    effects = world.effects
    observed = (
        effects.age_category[users.age[user], streamers.category[streamer]] * 0.8
        + effects.gender_gender[users.gender[user], streamers.gender[streamer]]
        + effects.city[users.city[user]]
        + effects.device[users.device[user]]
        + effects.level[streamers.level[streamer]]
    )
    return {
        "base": np.full(len(user), BASE),
        "taste": TASTE * taste,
        "propensity": PROPENSITY * users.propensity[user],
        "quality": QUALITY * streamers.quality[streamer],
        "observed": OBSERVED * observed,
        "position": POSITION_EFFECT[position],
        "context": SCENE_EFFECT[scene] + HOUR_EFFECT[np.clip(hour, 0, 23)],
    }
