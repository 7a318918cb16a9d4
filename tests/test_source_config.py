"""How a source is written: what cannot be read, or means nothing, is refused with its place before Spark starts."""

from __future__ import annotations

import copy
import tomllib
from typing import Any

import pytest

from pipeline.config import Config, parse_config
from tests.test_config import CONF, CSV, EVENTS, faults, set_at

PARQUET = {
    "kind": "events",
    "path": "x/{dt}",
    "format": "parquet",
    "columns": {"event_time": {"from": "ts", "time": ["iso"]}},
}
OF_CSV = {"separator": ",", "header": True, "fields": ["a"], "quote": "'", "comment": "#", "null_values": ["?"]}
LINES = "sources.events"
SCENE, POSITION, TIME = f"{EVENTS}.scene.default", f"{EVENTS}.position.default", f"{EVENTS}.event_time.time"


@pytest.fixture
def tables() -> dict[str, Any]:
    return copy.deepcopy(tomllib.loads((CONF / "live.toml").read_text()))


@pytest.mark.parametrize(
    ("place", "value", "fault"),
    [
        # what goes with delimited text only, or with text only
        *[(f"{LINES}.{key}", value, f"{key}: goes with format = 'csv'; a line of json names its own fields")
          for key, value in OF_CSV.items()],
        ("sources.x", {**PARQUET, "encoding": "latin-1"}, "encoding: goes with text; a file of parquet says how"),
        ("sources.x", {**PARQUET, "header": True}, "header: goes with format = 'csv'; a line of parquet names its"),
        # encodings
        (f"{LINES}.encoding", "utf-9", "encoding: must be an encoding that Python and Java know"),
        *[(f"{LINES}.encoding", name, "encoding: writes ASCII in other bytes, or others with them (")
          for name in ("utf-16", "utf-16-le", "utf-32", "cp037", "utf-7", "utf-8-sig")],
        # delimited text
        ("sources.x", {**CSV, "separator": ""}, "separator: String should have at least 1 character"),
        ("sources.x", {**CSV, "separator": "\n"}, "separator: must not hold the end of a line"),
        ("sources.x", {**CSV, "separator": '";"'}, "separator: must not hold the quote '\"'; give another `quote`, or"),
        ("sources.x", {**CSV, "quote": "''"}, "quote: String should have at most 1 character"),
        ("sources.x", {**CSV, "comment": "é", "encoding": "ascii"}, "comment: has characters that ascii cannot write"),
        ("sources.x", {**CSV, "null_values": ["?", " - "]}, "null_values: must be texts without spaces around them"),
        # defaults
        (POSITION, "one", f"$.{POSITION}: must be a text that says a value of type = 'int', got 'one'"),
        (POSITION, "100", f"$.{POSITION}: must lie between min (0) and max (99), got '100'"),
        (POSITION, 1, f"$.{POSITION}: Input should be a valid string, got 1"),
        (SCENE, " ", f"$.{SCENE}: must be a text that says a value of type = 'string', got ' '"),
        (f"{EVENTS}.event_type.default", "exposure", "event_type.default: must be one of the raw values ['comment', "),
        (f"{EVENTS}.event_time.default", "0", "event_time.default: does not go with `time`: when something happened"),
        (f"{EVENTS}.user_id.default", "u", "user_id.default: does not go with `required`: a line that lacks the one"),
        (f"{EVENTS}.event_id", {"from": "id", "default": "e"}, "event_id.default: would make one event of all lines"),
        # times
        (TIME, ["epoch_m"], f"$.{TIME}.0.name: Input should be 'epoch_s', 'epoch_ms', 'epoch_us' or 'iso', got"),
        (TIME, ["iso", {"pattern": "dd/MM/YYYY", "zone": "UTC"}], f"$.{TIME}.1.pattern: must be made of yy to yyyy"),
        (TIME, [{"pattern": "dd/MM/yyyy", "zone": "Paris"}], f"$.{TIME}.0.zone: must be a time zone of the IANA dat"),
    ],
)  # fmt: skip
def test_a_mistake_is_refused_before_anything_is_read(
    tables: dict[str, Any], place: str, value: Any, fault: str
) -> None:
    set_at(tables, place, value)
    found = faults(tables)
    assert any(fault in line for line in found), found


@pytest.mark.parametrize(
    "said",
    [
        {"separator": '";"', "quote": ""}, {"separator": "::", "quote": "'", "comment": "--", "null_values": ["\\N"]},
        *({"encoding": name} for name in ("latin-1", "windows-1252", "gb18030", "shift_jis", "koi8-r", "ascii")),
    ],
)  # fmt: skip
def test_delimited_text_of_many_kinds_is_taken(tables: dict[str, Any], said: dict[str, Any]) -> None:
    tables["sources"]["x"] = {**CSV, **said}
    set_at(tables, f"{EVENTS}.event_type.default", "show")
    set_at(tables, POSITION, "0")
    config = parse_config(tables)
    assert Config.model_validate(config.model_dump(mode="json", by_alias=True)) == config
