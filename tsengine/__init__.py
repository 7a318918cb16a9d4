"""tsengine: a small graph engine on NumPy, in the programming model of TensorFlow 1.

A program builds a graph (`placeholder`, `Variable`, `constant`, operations), `gradients` adds the backward pass as more
graph, `Session.run(fetches, feed_dict)` compiles what the fetches need into a plan, once, and runs it.

All primitives are registered when this module is imported. `Session`, with the compiler behind it, and `train` are
loaded when they are first named: a third of the import, and a program that builds or exports a graph needs neither.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from tsengine import errors as errors
from tsengine import initializers as initializers
from tsengine.gradients import gradients as gradients
from tsengine.graph import Graph as Graph
from tsengine.graph import Node as Node
from tsengine.graph import constant as constant
from tsengine.indexed_slices import IndexedSlices as IndexedSlices
from tsengine.indexed_slices import IndexedSlicesValue as IndexedSlicesValue
from tsengine.initializers import GlorotUniform as GlorotUniform
from tsengine.initializers import HeNormal as HeNormal
from tsengine.initializers import Normal as Normal
from tsengine.initializers import Uniform as Uniform
from tsengine.ops.activations import elu as elu
from tsengine.ops.activations import gelu as gelu
from tsengine.ops.activations import leaky_relu as leaky_relu
from tsengine.ops.activations import log_softmax as log_softmax
from tsengine.ops.activations import relu as relu
from tsengine.ops.activations import sigmoid as sigmoid
from tsengine.ops.activations import softmax as softmax
from tsengine.ops.activations import softplus as softplus
from tsengine.ops.activations import tanh as tanh
from tsengine.ops.conv import avg_pool2d as avg_pool2d
from tsengine.ops.conv import conv2d as conv2d
from tsengine.ops.conv import global_avg_pool2d as global_avg_pool2d
from tsengine.ops.conv import max_pool2d as max_pool2d
from tsengine.ops.elementwise import abs as abs
from tsengine.ops.elementwise import add as add
from tsengine.ops.elementwise import add_n as add_n
from tsengine.ops.elementwise import cast as cast
from tsengine.ops.elementwise import clip as clip
from tsengine.ops.elementwise import divide as divide
from tsengine.ops.elementwise import equal as equal
from tsengine.ops.elementwise import exp as exp
from tsengine.ops.elementwise import expm1 as expm1
from tsengine.ops.elementwise import floor_mod as floor_mod
from tsengine.ops.elementwise import greater as greater
from tsengine.ops.elementwise import greater_equal as greater_equal
from tsengine.ops.elementwise import identity as identity
from tsengine.ops.elementwise import is_nan as is_nan
from tsengine.ops.elementwise import less as less
from tsengine.ops.elementwise import less_equal as less_equal
from tsengine.ops.elementwise import log as log
from tsengine.ops.elementwise import log1p as log1p
from tsengine.ops.elementwise import logical_and as logical_and
from tsengine.ops.elementwise import logical_not as logical_not
from tsengine.ops.elementwise import logical_or as logical_or
from tsengine.ops.elementwise import maximum as maximum
from tsengine.ops.elementwise import minimum as minimum
from tsengine.ops.elementwise import multiply as multiply
from tsengine.ops.elementwise import negative as negative
from tsengine.ops.elementwise import not_equal as not_equal
from tsengine.ops.elementwise import pow as pow
from tsengine.ops.elementwise import reciprocal as reciprocal
from tsengine.ops.elementwise import rsqrt as rsqrt
from tsengine.ops.elementwise import sign as sign
from tsengine.ops.elementwise import sqrt as sqrt
from tsengine.ops.elementwise import square as square
from tsengine.ops.elementwise import stop_gradient as stop_gradient
from tsengine.ops.elementwise import subtract as subtract
from tsengine.ops.elementwise import where as where
from tsengine.ops.enlarge import one_hot as one_hot
from tsengine.ops.enlarge import pad as pad
from tsengine.ops.enlarge import tile as tile
from tsengine.ops.host import Operation as Operation
from tsengine.ops.host import RegisterGradient as RegisterGradient
from tsengine.ops.interactions import cross_layer as cross_layer
from tsengine.ops.interactions import dot_interaction as dot_interaction
from tsengine.ops.interactions import fm_interaction as fm_interaction
from tsengine.ops.linear import bias_add as bias_add
from tsengine.ops.linear import linear as linear
from tsengine.ops.linear import matmul as matmul
from tsengine.ops.losses import bpr_loss as bpr_loss
from tsengine.ops.losses import hinge_loss as hinge_loss
from tsengine.ops.losses import mse as mse
from tsengine.ops.losses import sigmoid_cross_entropy_with_logits as sigmoid_cross_entropy_with_logits
from tsengine.ops.losses import softmax_cross_entropy_with_logits as softmax_cross_entropy_with_logits
from tsengine.ops.losses import sparse_softmax_cross_entropy_with_logits as sparse_softmax_cross_entropy_with_logits
from tsengine.ops.masks import boolean_mask as boolean_mask
from tsengine.ops.norm import batch_norm as batch_norm
from tsengine.ops.norm import batch_norm_train as batch_norm_train
from tsengine.ops.random import dropout as dropout
from tsengine.ops.random import random_normal as random_normal
from tsengine.ops.random import random_step as random_step
from tsengine.ops.random import random_uniform as random_uniform
from tsengine.ops.reduce import accuracy as accuracy
from tsengine.ops.reduce import argmax as argmax
from tsengine.ops.reduce import l2_loss as l2_loss
from tsengine.ops.reduce import logsumexp as logsumexp
from tsengine.ops.reduce import reduce_max as reduce_max
from tsengine.ops.reduce import reduce_mean as reduce_mean
from tsengine.ops.reduce import reduce_min as reduce_min
from tsengine.ops.reduce import reduce_sum as reduce_sum
from tsengine.ops.registry import op as op
from tsengine.ops.shape import broadcast_like as broadcast_like
from tsengine.ops.shape import broadcast_to as broadcast_to
from tsengine.ops.shape import expand_dims as expand_dims
from tsengine.ops.shape import flatten as flatten
from tsengine.ops.shape import ones_like as ones_like
from tsengine.ops.shape import reshape as reshape
from tsengine.ops.shape import shape_of as shape_of
from tsengine.ops.shape import squeeze as squeeze
from tsengine.ops.shape import transpose as transpose
from tsengine.ops.shape import zeros_like as zeros_like
from tsengine.ops.slicing import concat as concat
from tsengine.ops.slicing import slice_
from tsengine.ops.slicing import split as split
from tsengine.ops.slicing import stack as stack
from tsengine.ops.sparse import bucketize as bucketize
from tsengine.ops.sparse import embedding_bag as embedding_bag
from tsengine.ops.sparse import embedding_lookup as embedding_lookup
from tsengine.ops.sparse import gather as gather
from tsengine.ops.sparse import segment_sum as segment_sum
from tsengine.ops.state import assign as assign
from tsengine.ops.state import assign_add as assign_add
from tsengine.ops.state import group as group
from tsengine.ops.state import no_op as no_op
from tsengine.scopes import control_dependencies as control_dependencies
from tsengine.scopes import get_default_graph as get_default_graph
from tsengine.scopes import name_scope as name_scope
from tsengine.scopes import reset_default_graph as reset_default_graph
from tsengine.specs import Spec as Spec
from tsengine.variables import Variable as Variable
from tsengine.variables import global_variables_initializer as global_variables_initializer
from tsengine.variables import placeholder as placeholder

slice = slice_

if TYPE_CHECKING:
    from tsengine import summary as summary
    from tsengine import train as train
    from tsengine.session import Session as Session
else:

    def __getattr__(name: str) -> object:
        if name in ("summary", "train"):
            return import_module(f"tsengine.{name}")
        if name == "Session":
            found = globals()[name] = import_module("tsengine.session").Session
            return found
        raise AttributeError(f"module 'tsengine' has no attribute '{name}'")

    def __dir__() -> list[str]:
        return sorted({*globals(), "Session", "summary", "train"})
