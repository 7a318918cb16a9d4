"""Curves and histograms of a training, for TensorBoard: name nodes, fetch `merge_all()`, write what comes of it.

ts.summary.scalar("loss", loss)
ts.summary.histogram("weights", w)
merged = ts.summary.merge_all()
with ts.summary.FileWriter("logs") as writer:
    for step in range(100):
        _, fetched = session.run([train, merged])
        writer.add_summary(fetched, step)
"""

from tsengine.summary.nodes import Summaries as Summaries
from tsengine.summary.nodes import histogram as histogram
from tsengine.summary.nodes import merge_all as merge_all
from tsengine.summary.nodes import scalar as scalar
from tsengine.summary.writer import FileWriter as FileWriter
