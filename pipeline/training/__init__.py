"""From published examples to a judged model: fit constants, train, evaluate on later days, export, pass the gate."""

from pipeline.training.service import TrainResult as TrainResult
from pipeline.training.train import train as train
