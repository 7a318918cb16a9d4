"""The typed config of one product, read from conf/<product>.toml.

Every table refuses unknown keys, every fault is reported at once with its path (`$.training.workers`), and all
defaults stand here. Objects are frozen. Units are in the names.
"""

from pipeline.config.cleaning import RULE_IDS as RULE_IDS
from pipeline.config.columns import Column as Column
from pipeline.config.features import HOUR as HOUR
from pipeline.config.features import Cross as Cross
from pipeline.config.features import Feature as Feature
from pipeline.config.features import Features as Features
from pipeline.config.features import Sequence as Sequence
from pipeline.config.features import Vocabulary as Vocabulary
from pipeline.config.labels import ChosenLabel as ChosenLabel
from pipeline.config.labels import ColumnLabel as ColumnLabel
from pipeline.config.labels import EventLabel as EventLabel
from pipeline.config.labels import Label as Label
from pipeline.config.load import load_config as load_config
from pipeline.config.load import parse_config as parse_config
from pipeline.config.negatives import Negatives as Negatives
from pipeline.config.product import Config as Config
from pipeline.config.sessions import SESSION as SESSION
from pipeline.config.sessions import SESSION_SUMS as SESSION_SUMS
from pipeline.config.sessions import Sessions as Sessions
from pipeline.config.sources import Source as Source
from pipeline.config.table import WRITTEN as WRITTEN
from pipeline.config.table_sources import ColumnSplit as ColumnSplit
from pipeline.config.table_sources import FileSplit as FileSplit
from pipeline.config.table_sources import ImageFiles as ImageFiles
from pipeline.config.table_sources import LeaveOneOut as LeaveOneOut
from pipeline.config.table_sources import RandomSplit as RandomSplit
from pipeline.config.table_sources import TableSource as TableSource
from pipeline.config.times import TimeFormat as TimeFormat
from pipeline.config.training import Rule as Rule
from pipeline.config.training import Schedule as Schedule
from pipeline.config.training import Threshold as Threshold
from pipeline.config.training import Training as Training
