"""Cases for every primitive: inputs, attributes and an independent NumPy reference.

Floats are float64 so that gradients can be checked; a domain is chosen where the op is smooth. A primitive that has no
row here fails the table test. Sources and updates have tests of their own.
"""

from tsengine.testing.opcases.cases import Case as Case
from tsengine.testing.opcases.cases import Row as Row
from tsengine.testing.opcases.conv import CONVOLUTIONS, DRAWN
from tsengine.testing.opcases.elements import ELEMENTS
from tsengine.testing.opcases.fused import FUSED
from tsengine.testing.opcases.products import LAST_AXIS, LINEAR
from tsengine.testing.opcases.shapes import REDUCTIONS, SHAPES
from tsengine.testing.opcases.tables import SPARSE

TABLE: dict[str, Row] = {
    **ELEMENTS,
    **LAST_AXIS,
    **REDUCTIONS,
    **SHAPES,
    **LINEAR,
    **SPARSE,
    **CONVOLUTIONS,
    **DRAWN,
    **FUSED,
}
