"""What names a person is hashed with the key on the way in, is the same person on all days, and nobody sees the key."""

from __future__ import annotations

import hashlib
import hmac
import io
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipeline.config import Config, load_config
from pipeline.errors import ConfigError, Refused
from pipeline.pii import fingerprint, keyed_hash, pads, pii_key
from pipeline.road.clean import check_pii_key
from pipeline.steps.clean_logs.pii import hashed
from tests.steps.test_clean_logs import Cleaner, show

CONF = Path(__file__).parents[2] / "conf" / "live.toml"
PII = [f"sources.{source}.columns.user_id.pii=true" for source in ("events", "users")]
KEY = b"a key of some length, kept in a safe place"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "pii.key"
    path.write_bytes(KEY + b"\n")
    return path


@pytest.fixture
def config(key_file: Path) -> Config:
    return load_config(CONF, [*PII, f"clean.pii_key_file={key_file}"])


@given(st.binary(min_size=16, max_size=200), st.text(max_size=80))
def test_it_is_hmac_sha256_as_the_standard_writes_it(key: bytes, text: str) -> None:
    encoded = text.encode("utf-8", "surrogatepass")
    inner, outer = pads(key)
    by_hand = hashlib.sha256(outer + hashlib.sha256(inner + encoded).digest()).hexdigest()
    assert by_hand == hmac.new(key, encoded, hashlib.sha256).hexdigest()


@pytest.mark.parametrize("key", [KEY, b"k" * 16, b"k" * 64, b"k" * 65])
def test_spark_gives_the_same_hash_as_python(spark: SparkSession, key: bytes) -> None:
    texts = ["u1", "u2", "", "\u7528\u6237", "a" * 1000, None]
    table = spark.createDataFrame([(text,) for text in texts], "text string").coalesce(1)
    found = [row["hash"] for row in table.select(hashed(F.col("text"), key).alias("hash")).collect()]
    assert found == [None if text is None else keyed_hash(key, text) for text in texts]
    assert len({*found}) == len(texts)


def test_no_dataset_holds_the_name_and_one_person_has_one_hash(
    spark: SparkSession, config: Config, tmp_path: Path
) -> None:
    said = {"id": "s1", "uid": "someone", "ts": show()["ts"], "recv": show()["recv"], "city": "x"}
    lines = [show(id="e1", uid="someone"), show(id="e2", uid="someone"), show(id="e3", uid="other")]
    cleaned = Cleaner(spark, config, tmp_path).clean(*lines, users=(said,), pii_key=KEY)
    events = {row["event_id"]: row["user_id"] for row in cleaned.events.collect()}
    assert events == {"e1": keyed_hash(KEY, "someone"), "e2": events["e1"], "e3": keyed_hash(KEY, "other")}
    assert [row["user_id"] for row in cleaned.attributes["user"].collect()] == [events["e1"]]
    assert "someone" not in str(cleaned.events.collect())


def test_what_spark_prints_of_a_plan_does_not_show_the_key(spark: SparkSession) -> None:
    printed = io.StringIO()
    table = spark.createDataFrame([("u1",)], "text string").select(hashed(F.col("text"), KEY).alias("hash"))
    with redirect_stdout(printed):
        table.explain("extended")
    assert "redacted" in printed.getvalue()
    for pad in pads(KEY):
        assert pad.hex()[:16] not in printed.getvalue().lower()


def test_a_key_that_cannot_serve_is_refused(config: Config, key_file: Path) -> None:
    assert pii_key(config) == KEY
    assert pii_key(load_config(CONF)) is None
    key_file.write_bytes(b"short\n")
    with pytest.raises(ConfigError, match=r"\$.clean.pii_key_file: a key needs at least 16 bytes, .* holds 5"):
        pii_key(config)
    key_file.unlink()
    with pytest.raises(ConfigError, match=r"cannot read .*No such file.* Make a key once and keep it: head -c 32"):
        pii_key(config)


class Earlier:
    """Days before that were hashed with some key."""

    def __init__(self, *keys: bytes | None) -> None:
        self._keys = keys

    def extras(self, role: str) -> list[dict[str, str | None]]:
        assert role == "earlier_events"
        return [{"pii_key": fingerprint(key)} for key in self._keys]


def test_another_key_than_that_of_the_days_before_is_refused(config: Config) -> None:
    fitting: list[tuple[bytes, ...]] = [(), (KEY, KEY)]
    others: list[tuple[bytes | None, ...]] = [(KEY, b"another key, just as long"), (None,)]
    for same in fitting:
        check_pii_key(config, KEY, Earlier(*same))  # type: ignore[arg-type]
    for keys in others:
        with pytest.raises(Refused, match=r"hashed with another key .* make backfill FROM=2026-01-01"):
            check_pii_key(config, KEY, Earlier(*keys))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        (PII, r"\$.clean.pii_key_file: is missing: \['user_id'\] have pii = true"),
        (PII[:1], r"\$.sources.users.columns.user_id.pii: must be true: another source says that user_id names a pers"),
        (["sources.events.columns.amount.pii=true"], "`pii` goes with plain text"),
        (["sources.events.columns.event_type.pii=true"], "`pii` goes with plain text"),
    ],
)
def test_what_does_not_fit_is_named(settings: list[str], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        load_config(CONF, settings)
