"""The road a row takes: every Spark step, what it reads, what it writes; a file a stop.

clean       raw -> clean_logs -> events, quarantine, attributes, rooms
sessions                         events -> build_sessions -> sessions, where they are declared
profiles                         events, sessions -> build_daily -> build_profiles
vocab                            events, attributes -> build_vocab
examples                         events, profiles, vocabularies of the day before -> build_examples -> (train)
                                 (with target encodings it reads its own earlier days)
statistics                       events, examples -> build_statistics -> (whether the day is refused)
recommend                        rooms, profiles, vocabularies, model -> recommend

A table of labelled rows goes another road: pipeline/table_road.py.
"""

from pipeline.road.clean import CLEAN
from pipeline.road.examples import EXAMPLES
from pipeline.road.profiles import DAILY, PROFILES
from pipeline.road.recommend import RECOMMEND
from pipeline.road.sessions import SESSIONS
from pipeline.road.statistics import STATISTICS
from pipeline.road.vocab import VOCAB

__all__ = ["CLEAN", "DAILY", "DATA_STEPS", "EXAMPLES", "PROFILES", "RECOMMEND", "SESSIONS", "STATISTICS", "VOCAB"]

DATA_STEPS = (CLEAN, SESSIONS, DAILY, PROFILES, VOCAB, EXAMPLES, STATISTICS)
"""What a day of data takes, in order; a step that writes nothing of a product is not done. Training and recommending
follow."""
