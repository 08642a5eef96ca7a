"""The smallest thing that shows a fault: one operator, one input, a script of a few lines."""

from pathlib import Path

import numpy as np

from exray.diagnosis.causes import Cause, Replay
from exray.diagnosis.conclusion import Diagnosis
from exray.schema.errors import UsageError

from .kernels import CODE as KERNEL
from .parameter_faults import CONVERSION
from .reference_frames import reference_frames
from .replay import OpReplay
from .tflite_model import TfliteModel

_SCRIPT = '''\
"""Run one operator alone on two kernel families, against what was expected of it."""
import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

data = np.load("{name}.npz")
for kernels in (OpResolverType.AUTO, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES):
    model = Interpreter("{name}.tflite", experimental_op_resolver_type=kernels)
    model.allocate_tensors()
    for position, detail in enumerate(model.get_input_details()):
        model.set_tensor(detail["index"], data[f"input_{{position}}"])
    model.invoke()
    output = model.get_output_details()[0]
    scale, zero_point = output["quantization"]
    real = (model.get_tensor(output["index"]).astype(float) - zero_point) * (scale or 1.0)
    error = np.square(real - data["expected"]).sum() / np.square(data["expected"]).sum()
    print(f"{{kernels.name}}: {{-10 * np.log10(max(error, 1e-14)):.1f}} dB SQNR")
'''


def reproducible(diagnosis: Diagnosis) -> Cause | None:
    """Return the first cause that one operator alone shows, None where there is none."""
    codes = (KERNEL, CONVERSION)
    found = (c for c in diagnosis.failing if c.code in codes and c.where.layer_index is not None)
    return next(found, None)


def write_repro(diagnosis: Diagnosis, replay: Replay, folder: Path) -> tuple[Path, ...]:
    """Write the operator of the first ``kernel.layer`` or ``conversion.layer`` cause.

    Args:
        diagnosis: What was found.
        replay: Files of both models and the inputs. For a cause of one file's kernels the
            reference model may be left out.
        folder: Where to write ``layer_N.tflite``, ``layer_N.npz`` (the operator's inputs in
            its own numbers, and the output that was expected, in real units) and
            ``layer_N.py``, which runs them.

    Returns:
        The files; none where no cause can be shown by one operator.

    Raises:
        UsageError: A file that this needs was not named, or *folder* cannot be written.
    """
    cause = reproducible(diagnosis)
    if cause is None or cause.where.layer_index is None:
        return ()
    if replay.edge_model is None or replay.inputs is None:
        msg = "--repro needs --edge-model and --inputs: an operator and what it reads"
        raise UsageError(msg)
    reference = replay.reference_model or replay.edge_model
    if reference is replay.edge_model and cause.code == CONVERSION:
        msg = "--repro needs --reference-model too: what the operator should have computed"
        raise UsageError(msg)
    index = cause.where.layer_index
    model = TfliteModel.load(replay.edge_model)
    counterparts = {
        layer.layer_index: layer.reference_layer_index
        for layer in diagnosis.comparison.layers
        if layer.reference_layer_index is not None
    }
    frames = reference_frames(reference, replay, counterparts, limit=1)
    inputs = OpReplay(model).inputs(index, frames[0], "builtin") if frames else None
    expected = frames[0].output(index) if frames else None
    if inputs is None or expected is None:
        msg = (
            f"--repro: the reference does not tell what layer {index} reads and puts out. Give a "
            "reference whose layers correspond, such as the float .tflite file."
        )
        raise UsageError(msg)
    name = f"layer_{index}"
    shape = model.tensors[model.ops[index].outputs[0]].shape
    arrays = {f"input_{i}": value for i, value in enumerate(inputs)}
    arrays["expected"] = expected.reshape(shape)
    paths = tuple(folder / f"{name}{suffix}" for suffix in (".tflite", ".npz", ".py"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        paths[0].write_bytes(model.cut(index).content)
        with paths[1].open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        paths[2].write_text(_SCRIPT.format(name=name), "utf-8")
    except OSError as error:
        msg = f"--repro '{folder}' cannot be written: {error.strerror}. Choose another folder."
        raise UsageError(msg) from error
    return paths
