"""Keras models from files: .keras, .h5, and SavedModel folders seen from outside.

TensorFlow takes seconds to import, so nothing here does before a model is asked for.
Keras has no types that a checker could use: it is `Any` in this module and its
neighbours, and what leaves them is typed.
"""

import importlib
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

from exray.schema.errors import MissingExtraError, ModelError

_KERAS_SUFFIXES = (".keras", ".h5", ".hdf5")

_DEFAULT_SIGNATURE = "serving_default"

# A part of what Keras says, and what helps. The first that is found counts.
_FIXES: Mapping[str, str] = {
    "No model config found": (
        "The file holds weights only: build the model in Python, load_weights() and save it "
        "as a .keras file."
    ),
    "Requested the deserialization": (
        "It runs Python code that came with the file: load it yourself if you trust it, and "
        "pass the model to exray.instrument()."
    ),
    "Could not locate": (
        "It uses classes or functions that are not Keras' own: load it yourself with "
        "custom_objects, and pass the model to exray.instrument()."
    ),
    "Unknown layer": (
        "It uses layers that Keras 3 does not have: load it yourself with custom_objects, and "
        "pass the model to exray.instrument()."
    ),
}

_ANY_FIX = "Check that the file is whole; if it is, save it again as .keras with Keras 3."


def import_keras(purpose: str) -> Any:
    """Import Keras, seconds after a cold start.

    Args:
        purpose: What needs it, for the error.

    Raises:
        MissingExtraError: Keras or its backend is not installed.
    """
    try:
        return importlib.import_module("keras")
    except ImportError as error:
        raise MissingExtraError("keras", purpose) from error


def load_keras(path: str | PathLike[str]) -> Any:
    """Load a model for inference; it is not compiled, so training needs compile() first.

    Old .h5 files whose depthwise convolutions Keras 3 refuses are read too. A SavedModel
    folder becomes a model of one layer that calls the folder's serving signature: what
    goes in and comes out can be seen, the layers inside cannot.

    Args:
        path: A .keras or .h5 file, or a SavedModel folder.

    Returns:
        The ``keras.Model``.

    Raises:
        ModelError: The file is missing, of another kind, damaged, or Keras refuses it.
        MissingExtraError: Keras or TensorFlow is not installed.
    """
    path = Path(path)
    if not path.exists():
        msg = f"model '{path}' does not exist. Pass a .keras or .h5 file or a SavedModel folder."
        raise ModelError(msg)
    if path.is_dir():
        return _load_saved_model(path)
    if path.suffix.lower() not in _KERAS_SUFFIXES:
        msg = (
            f"model '{path}' is not a Keras model: its name ends in {path.suffix!r}, expected "
            f"{', '.join(_KERAS_SUFFIXES)} or a SavedModel folder. Pass one of these."
        )
        raise ModelError(msg)
    if path.suffix.lower() == ".keras" and not is_zipfile(path):
        msg = (
            f"model '{path}' is truncated or no .keras file: its {path.stat().st_size} bytes are "
            "not a whole zip archive. Copy the file again and compare its SHA-256."
        )
        raise ModelError(msg)
    keras = import_keras("loading a Keras model")
    custom_objects = {"DepthwiseConv2D": _LegacyDepthwise}
    try:
        model = keras.models.load_model(path, custom_objects=custom_objects, compile=False)
    except Exception as error:  # Keras raises whatever its parts raise
        said = str(error).strip() or type(error).__name__
        cause, fix = next((item for item in _FIXES.items() if item[0] in said), ("", _ANY_FIX))
        said = _short(said[said.index(cause) :])
        msg = f"model '{path}' cannot be loaded by Keras {keras.__version__}: {said} {fix}"
        raise ModelError(msg) from error
    return _plain_input(keras, model)


def _plain_input(keras: Any, model: Any) -> Any:
    """Return a model whose only input is given as it is.

    Models from .h5 files expect a list of one, and warn at each call without it.
    """
    if type(model).__name__ != "Functional" or not isinstance(model.input, list):
        return model
    inputs, outputs = model.inputs, model.outputs
    if len(inputs) != 1:
        return model
    return keras.Model(inputs[0], outputs[0] if len(outputs) == 1 else outputs, name=model.name)


class _LegacyDepthwise:
    """Stands in for DepthwiseConv2D while a file is read, and makes the real one.

    Keras 2 wrote the key ``groups`` into every convolution; Keras 3 refuses it here,
    where it never meant anything but 1.
    """

    @classmethod
    def from_config(cls, config: Mapping[str, object]) -> Any:
        """Make the layer that *config* describes, without the key that Keras 3 refuses."""
        known = {key: value for key, value in config.items() if key != "groups"}
        return import_keras("loading a Keras model").layers.DepthwiseConv2D.from_config(known)


def _short(said: str, limit: int = 300) -> str:
    """Return the first lines of what Keras said, as one sentence."""
    line = " ".join(said.split()).rstrip(".")
    return f"{line[:limit]}..." if len(line) > limit else f"{line}."


def _load_saved_model(path: Path) -> Any:
    """Wrap a SavedModel's serving signature in a model of one layer."""
    if not (path / "saved_model.pb").is_file():
        msg = f"model '{path}' is a folder without saved_model.pb. Pass a SavedModel folder."
        raise ModelError(msg)
    keras = import_keras("loading a SavedModel")
    try:
        tensorflow = importlib.import_module("tensorflow")
    except ImportError as error:
        raise MissingExtraError("keras", "loading a SavedModel") from error
    try:
        loaded = tensorflow.saved_model.load(str(path))
    except Exception as error:  # TensorFlow raises whatever its parts raise
        msg = f"model '{path}' cannot be loaded by TensorFlow: {_short(str(error))} {_ANY_FIX}"
        raise ModelError(msg) from error
    layer = _signature_layer(keras, loaded, path)
    inputs = {
        name: keras.Input(batch_shape=tuple(spec.shape), dtype=spec.dtype.name, name=_name(name))
        for name, spec in layer.signature_inputs.items()
    }
    given = next(iter(inputs.values())) if len(inputs) == 1 else inputs
    return keras.Model(given, layer(given), name=_name(path.resolve().name))


def _signature_layer(keras: Any, loaded: Any, path: Path) -> Any:
    """Return a layer that calls the serving signature of a loaded SavedModel."""
    signatures: dict[str, Any] = dict(loaded.signatures)
    only = next(iter(signatures)) if len(signatures) == 1 else _DEFAULT_SIGNATURE
    function = signatures.get(_DEFAULT_SIGNATURE) or signatures.get(only)
    if function is None:
        msg = (
            f"model '{path}' has no signature {_DEFAULT_SIGNATURE!r}; it has "
            f"{sorted(signatures) or 'none'}. Export it with model.export()."
        )
        raise ModelError(msg)
    serve: Any = function
    signature_inputs: dict[str, Any] = serve.structured_input_signature[1]
    signature_outputs: dict[str, Any] = serve.structured_outputs
    specs = {**signature_inputs, **signature_outputs}
    vague = sorted(name for name, spec in specs.items() if spec.shape.rank is None)
    if vague:
        msg = (
            f"model '{path}' does not say how many dimensions {vague} have. "
            "Export it with shapes in its input signature."
        )
        raise ModelError(msg)

    class SavedModel(keras.layers.Layer):  # type: ignore[misc]  # keras is Any
        """All of the SavedModel as one layer."""

        def call(self, inputs: Any) -> Any:
            """Call the signature; one output stands alone, several are named."""
            first = next(iter(signature_inputs))
            named: dict[str, Any] = {first: inputs} if len(signature_inputs) == 1 else inputs
            return _alone(serve(**named))

        def compute_output_spec(self, inputs: Any) -> Any:
            """Return the shapes that the signature promises."""
            return _alone(
                {
                    name: keras.KerasTensor(tuple(spec.shape), spec.dtype.name)
                    for name, spec in signature_outputs.items()
                }
            )

    layer = SavedModel(name=_name(only), autocast=False)
    layer.signature_inputs = signature_inputs
    layer.loaded = loaded  # owns the variables that the signature reads
    return layer


def _alone(outputs: dict[str, Any]) -> Any:
    return next(iter(outputs.values())) if len(outputs) == 1 else outputs


def _name(text: str) -> str:
    """Return *text* as Keras takes names, which hold no slash."""
    return text.replace("/", "_")
