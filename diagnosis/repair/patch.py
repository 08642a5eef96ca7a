"""A repair as files: what to put in the place of what, and the evidence for it."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from exray.diagnosis.conclusion import Diagnosis
from exray.diagnosis.layers.tflite_model import TfliteModel
from exray.playback.spec import PreprocessSpec
from exray.schema.errors import UsageError

from .outcome import Outcome, Step
from .report import markdown
from .spec_changes import keys_of
from .spec_text import changed_text, unified_diff

SPEC, HINT, EVIDENCE, REPORT = "preprocess.yaml", "code.md", "evidence.json", "report.md"
"""Names of files in a patch; a model keeps its own, and so does a spec."""


def check_out(folder: Path) -> None:
    """Refuse a folder that holds something, as nothing is overwritten, or that cannot be made.

    Raises:
        UsageError: It does, is no folder, or would stand where nothing may be written.
    """
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists() or folder.is_symlink():
        msg = f"--out '{folder}' is there already, and nothing is overwritten. Name a new folder."
        raise UsageError(msg)
    above = next(parent for parent in folder.absolute().parents if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        msg = f"--out '{folder}' cannot be made: '{above}' is no folder to write to. Name another."
        raise UsageError(msg)


def write_patch(outcome: Outcome, folder: Path, spec_file: Path | None) -> list[Path]:
    """Write what a repair comes to; the folder appears whole or not at all.

    Args:
        outcome: A repair whose changes are kept.
        folder: Where to; nothing stands there yet.
        spec_file: The edge's spec as its author wrote it, None where there is none.

    Returns:
        The files, the patch first.

    Raises:
        UsageError: The folder cannot be written.
    """
    check_out(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            names = _write_files(outcome, made, spec_file)
            made.chmod(0o755)  # mkdtemp's folder is its owner's alone
            made.rename(folder)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
    except OSError as error:
        msg = f"--out '{folder}' cannot be written: {error.strerror}. Name another folder."
        raise UsageError(msg) from error
    return [folder / name for name in names]


def evidence(outcome: Outcome, files: Sequence[str] = ()) -> dict[str, object]:
    """Return everything that was tried and found, as JSON."""
    reference = outcome.reference_accuracy
    return {
        "verdict": outcome.verdict,
        "sentence": outcome.sentence,
        "edge": outcome.edge,
        "reference": outcome.reference,
        "inputs": {"chosen_on": len(outcome.chosen), "held_out": len(outcome.held_out)},
        "edge_as_recorded": not outcome.is_faithful,
        "held_out": outcome.judged.to_json() if outcome.judged else None,
        "chosen_on": outcome.chosen_on.to_json(),
        "reference_accuracy": None
        if reference is None
        else {**asdict(reference), "top1": reference.value, "ci95": list(reference.ci95)},
        "share_back": outcome.share_back,
        "steps": [_step(step) for step in outcome.steps],
        "first_diagnosis": _status(outcome.first),
        "last_diagnosis": _status(outcome.last),
        "files": list(files),
    }


def _step(step: Step) -> dict[str, object]:
    return {
        "causes": [cause.to_json() for cause in step.causes],
        "kept": step.kept.what if step.kept else None,
        "tried": [
            {
                "change": trial.change.what,
                "result": trial.paired.to_json() if trial.paired else None,
                "error": trial.error or None,
            }
            for trial in step.trials
        ],
    }


def _status(diagnosis: Diagnosis) -> dict[str, object]:
    return {
        "status": diagnosis.status,
        "causes": [cause.to_json() for cause in diagnosis.failing],
        "unexplained": diagnosis.entry.to_json() if diagnosis.entry else None,
    }


def _write_files(outcome: Outcome, folder: Path, spec_file: Path | None) -> list[str]:
    names: list[str] = []
    before, after = outcome.before, outcome.after
    if after.spec != before.spec and after.spec is not None:
        name = spec_file.name if spec_file else SPEC
        text = spec_file.read_text("utf-8") if spec_file else ""
        changed = _spec_text(outcome, text, after.spec)
        (folder / name).write_text(changed, "utf-8")
        (folder / f"{name}.diff").write_text(unified_diff(text, changed, name), "utf-8")
        names += [name, f"{name}.diff"]
    if after.model != before.model:
        name = before.model.name
        shutil.copyfile(after.model, folder / name)
        old, new = (listing(TfliteModel.load(path)) for path in (before.model, after.model))
        (folder / f"{name}.diff").write_text(unified_diff(old, new, name), "utf-8")
        names += [name, f"{name}.diff"]
    hints = [change.code for _, change in outcome.kept if change.code]
    if hints:
        text = "# In the application\n\n" + "\n\n".join(hints) + "\n"
        (folder / HINT).write_text(text, "utf-8")
        names.append(HINT)
    names += [REPORT, EVIDENCE]
    (folder / REPORT).write_text(markdown(outcome, names), "utf-8")
    document = json.dumps(evidence(outcome, names), indent=1, allow_nan=False)
    (folder / EVIDENCE).write_text(document + "\n", "utf-8")
    return names


def _spec_text(outcome: Outcome, text: str, wanted: PreprocessSpec) -> str:
    causes = [cause for _, change in outcome.kept for cause in change.causes]
    keys = [
        key for cause in causes if cause.code.startswith("preprocessing.") for key in keys_of(cause)
    ]
    return changed_text(text, wanted.medium, list(dict.fromkeys(keys)), wanted)


def listing(model: TfliteModel) -> str:
    """Return a model's operators and constants as lines that can be held against each other."""
    lines: list[str] = []
    for index, op in enumerate(model.ops):
        options = ", ".join(f"{name}={value}" for name, value in sorted(op.attributes.items()))
        lines.append(f"operator {index} {op.op} {options}".rstrip())
        for kind, tensors in (("reads", op.inputs), ("writes", op.outputs)):
            lines += [f"  {kind} {_tensor_line(model, t)}" for t in tensors if t >= 0]
    return "\n".join(lines) + "\n"


def _tensor_line(model: TfliteModel, tensor: int) -> str:
    info, constant = model.tensors[tensor], model.constant(tensor)
    parts = [info.name, info.dtype, "x".join(map(str, info.shape))]
    quantization = info.quantization
    if quantization is not None:
        scales = quantization.scales
        shown = f"{scales[0]:.6g}" if len(scales) == 1 else f"{len(scales)} scales"
        parts.append(f"scale {shown} zero point {quantization.zero_points[0]}")
    if constant is not None:
        parts.append(f"sha256 {hashlib.sha256(constant.tobytes()).hexdigest()[:12]}")
    return ", ".join(parts)
