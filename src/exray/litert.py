"""LiteRT's compiled models, with each operator's time recorded.

In place of ``from ai_edge_litert.compiled_model import CompiledModel``::

    from exray.litert import CompiledModel

Its methods and results are the same. Tried with LiteRT 2.1.6, 2.2.0 and 2.3.0.
"""

from exray.instrumentation.compiled_build import Environment
from exray.instrumentation.compiled_model import CompiledModel
from exray.instrumentation.compiled_tensor import TensorBuffer

__all__ = ["CompiledModel", "Environment", "TensorBuffer"]
