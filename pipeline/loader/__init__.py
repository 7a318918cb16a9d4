"""Parquet to NumPy batches: every row once an epoch, in an order that no number of workers changes."""

from pipeline.loader.decode import Batch as Batch
from pipeline.loader.layout import Layout as Layout
from pipeline.loader.layout import RowGroup as RowGroup
from pipeline.loader.layout import read_layout as read_layout
from pipeline.loader.loader import Loader as Loader
from pipeline.loader.loader import Step as Step
from pipeline.loader.order import EpochOrder as EpochOrder
