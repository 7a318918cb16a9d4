"""Data-parallel training over processes of one machine: any number of workers gives the same bits.

Read in this order: replica (what a program hands over), parameters (the variables that it changes), memory (one block
that all share), communicator (how ranks wait for each other), reduce (whose turn it is to sum what), worker (one
process), trainer (who starts and watches).
"""

from tsengine.parallel.communicator import Communicator as Communicator
from tsengine.parallel.errors import CheckpointMismatch as CheckpointMismatch
from tsengine.parallel.errors import TrainingFailure as TrainingFailure
from tsengine.parallel.replica import Average as Average
from tsengine.parallel.replica import Learning as Learning
from tsengine.parallel.replica import Replica as Replica
from tsengine.parallel.replica import ShardedStep as ShardedStep
from tsengine.parallel.trainer import StepReport as StepReport
from tsengine.parallel.trainer import Trainer as Trainer
