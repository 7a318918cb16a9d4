"""Models: a feature spec becomes a tsengine graph."""

from pipeline.models.errors import ModelFault as ModelFault
from pipeline.models.model_graph import ModelGraph as ModelGraph
from pipeline.models.registry import FAMILIES as FAMILIES
from pipeline.models.registry import build as build
from pipeline.models.signature import Input as Input
from pipeline.models.signature import encoded_inputs as encoded_inputs
from pipeline.models.signature import length_name as length_name
from pipeline.models.signature import raw_inputs as raw_inputs
from pipeline.models.spec import ModelSpec as ModelSpec
