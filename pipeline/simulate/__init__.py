"""Raw logs of a live-streaming service with known truth, dirt included.

`simulate_block(world, block)` is a pure function of the config and the number of a user block: map it by whatever runs
in parallel, the rows are the same. `simulate_catalog(world)` gives the logs of streamers and rooms;
`truth_summary(logs)` says what a correct cleaning of them counts.
"""

from pipeline.simulate.blocks import BlockLogs as BlockLogs
from pipeline.simulate.blocks import simulate_block as simulate_block
from pipeline.simulate.blocks import simulate_catalog as simulate_catalog
from pipeline.simulate.settings import SOURCES as SOURCES
from pipeline.simulate.settings import DirtRates as DirtRates
from pipeline.simulate.settings import SimulationConfig as SimulationConfig
from pipeline.simulate.summary import TruthSummary as TruthSummary
from pipeline.simulate.summary import truth_summary as truth_summary
from pipeline.simulate.world import World as World
from pipeline.simulate.world import build_world as build_world
