"""Learning: optimizer rules, the optimizer that puts them into a graph, schedules and the saver."""

from tsengine.kernels.rows import dedupe as dedupe
from tsengine.train.optimizer import Optimizer as Optimizer
from tsengine.train.rules import Adagrad as Adagrad
from tsengine.train.rules import Adam as Adam
from tsengine.train.rules import GradientDescent as GradientDescent
from tsengine.train.rules import RowWiseAdagrad as RowWiseAdagrad
from tsengine.train.rules import Rule as Rule
from tsengine.train.rules import Slot as Slot
from tsengine.train.saver import restore as restore
from tsengine.train.saver import save as save
from tsengine.train.schedules import constant as constant
