"""Make the demo network and its images, which ship in ``playback/demo/``.

Eight classes drawn so that what a wrong preprocessing destroys decides between them:
colour (red against blue arrows), orientation (arrows to the left or right, vertical
against horizontal stripes) and fine texture (checker against grain). A small CNN learns
them from fresh drawings and is exported three times: float and int8 ``.tflite`` for the
demo, ``.keras`` as the twin that tests compare with.

    python examples/make_demo.py --out demo

Needs the extras ``keras``, ``litert`` and ``playback``, and three to four minutes on one core.
The drawings are the same everywhere; the weights are the same on one machine and one
TensorFlow, and differ in the last bits, then by training, between machines.
"""

# Keras, TensorFlow and LiteRT ship no types, and what pyright infers from their code is wrong.
# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportGeneralTypeIssues=false

import csv
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # its kernels differ from CPU to CPU

import keras  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import tensorflow as tf  # type: ignore[import-untyped]
import typer
from ai_edge_litert.interpreter import Interpreter  # type: ignore[import-untyped]
from PIL import Image, ImageDraw

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Preprocess = Callable[[Pixels], Floats]

SOURCE_SIZE_PX = 96
INPUT_SIZE_PX = 64  # not a divisor of the source: the resize method shows in the pixels
GREY_STEP = 8  # rounding the drawings to 32 levels saves a seventh of the PNG files
SHIPPED_COUNT = 48
TRAIN_COUNT = 8000
HELD_OUT_COUNT = 1000
EPOCHS = 12
CLASSES = (
    "red_left",
    "red_right",
    "blue_left",
    "blue_right",
    "stripes_vertical",
    "stripes_horizontal",
    "checker",
    "grain",
)

REFERENCE_YAML = """\
# What the network was trained with.
image:
  channels: rgb
  resize: {size: [64, 64], method: bilinear}
  values: {range: [-1, 1]}
"""
EDGE_YAML = """\
# The planted bug: the camera hands over BGR, and nobody swaps the channels.
image:
  channels: bgr
  resize: {size: [64, 64], method: bilinear}
  values: {range: [-1, 1]}
"""


# --- drawings ---------------------------------------------------------------------------


def draw(label: int, rng: np.random.Generator) -> Pixels:
    """Draw one image of a class.

    Args:
        label: Index into ``CLASSES``.
        rng: Source of everything that varies.

    Returns:
        RGB, shape ``(96, 96, 3)``, in steps of ``GREY_STEP``.
    """
    name = CLASSES[label]
    canvas = draw_background(rng)
    draw_clutter(canvas, rng)
    if name.startswith(("red", "blue")):
        colour, direction = name.split("_")
        draw_arrow(canvas, colour, direction, rng)
    else:
        draw_texture(canvas, name, rng)
    speckles = rng.random(canvas.shape[:2]) < 0.12
    canvas[speckles] += rng.choice([-24.0, 24.0], size=(int(speckles.sum()), 1))
    steps = np.round(canvas.clip(0, 255 - GREY_STEP) / GREY_STEP)
    return (steps * GREY_STEP).astype(np.uint8)


def draw_background(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return a grey slope with a slight tint, shape ``(96, 96, 3)``, in 0..255."""
    slope = np.linspace(-1.0, 1.0, SOURCE_SIZE_PX) * rng.uniform(-20, 20)
    base = rng.uniform(70, 170) + rng.uniform(-12, 12, size=3)
    return np.tile(base + slope[:, None, None], (1, SOURCE_SIZE_PX, 1))


def draw_clutter(canvas: npt.NDArray[np.float64], rng: np.random.Generator) -> None:
    """Add a few rectangles of any colour, so that no single pixel tells the class."""
    for _ in range(rng.integers(2, 5)):
        top, left = rng.integers(0, SOURCE_SIZE_PX - 8, size=2)
        height, width = rng.integers(5, 20, size=2)
        canvas[top : top + height, left : left + width] = rng.uniform(30, 220, size=3)


def draw_arrow(
    canvas: npt.NDArray[np.float64], colour: str, direction: str, rng: np.random.Generator
) -> None:
    """Blend a red or blue arrow, pointing left or right, into the canvas."""
    half = rng.uniform(13, 30)
    outline = np.array(  # points right, centred on 0, in units of the half length
        [(-1, -0.22), (0.05, -0.22), (0.05, -0.8), (1, 0), (0.05, 0.8), (0.05, 0.22), (-1, 0.22)]
    )
    if direction == "left":
        outline[:, 0] *= -1
    tilt = rng.uniform(-0.35, 0.35)
    turn = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    centre = rng.uniform(half, SOURCE_SIZE_PX - half, size=2)
    points = outline @ turn.T * half + centre
    mask = Image.new("1", (SOURCE_SIZE_PX, SOURCE_SIZE_PX))
    ImageDraw.Draw(mask).polygon([(float(x), float(y)) for x, y in points], fill=1)
    strong, weak = rng.uniform(150, 230), rng.uniform(20, 90)
    middle = weak + (strong - weak) * rng.uniform(0.0, 0.55)  # toward orange, or toward azure
    paint = (strong, middle, weak) if colour == "red" else (weak, middle, strong)
    opacity = rng.uniform(0.12, 0.9)
    inside = np.asarray(mask)
    canvas[inside] += opacity * (np.array(paint) - canvas[inside])


def draw_texture(canvas: npt.NDArray[np.float64], name: str, rng: np.random.Generator) -> None:
    """Add a patch of fine stripes, checker or grain of any colour to the canvas."""
    height, width = rng.integers(36, 80, size=2)
    top = rng.integers(0, SOURCE_SIZE_PX - height)
    left = rng.integers(0, SOURCE_SIZE_PX - width)
    period = rng.uniform(3.8, 6.2)  # source pixels; 2.5 to 4.1 at the model's input
    y, x = np.mgrid[0:height, 0:width] / period + rng.random((2, 1, 1))
    match name:
        case "stripes_vertical":
            wave = np.sign(np.sin(2 * np.pi * x))
        case "stripes_horizontal":
            wave = np.sign(np.sin(2 * np.pi * y))
        case "checker":
            wave = np.sign(np.sin(2 * np.pi * x) * np.sin(2 * np.pi * y))
        case _:  # grain: the cells of a checker, black or white by chance
            chance = rng.choice([-1.0, 1.0], size=(64, 64))
            wave = chance[(2 * y).astype(int), (2 * x).astype(int)]
    tint = rng.uniform(0.6, 1.0, size=3)
    contrast = rng.uniform(3.5, 40)
    canvas[top : top + height, left : left + width] += contrast * tint * wave[:, :, None]


def draw_set(count: int, seed: int) -> tuple[Pixels, Labels]:
    """Draw images of all classes in turn: shape ``(count, 96, 96, 3)``, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % len(CLASSES)
    return np.stack([draw(int(label), rng) for label in labels]), labels


# --- preprocessing, right and wrong -----------------------------------------------------


def scale_pixels(
    pixels: Pixels, *, method: str = "bilinear", low: float = -1.0, high: float = 1.0
) -> Floats:
    """Resize a batch to the model's input and map 0..255 to *low*..*high*, float32."""
    size = (INPUT_SIZE_PX, INPUT_SIZE_PX)
    resized: Floats = tf.image.resize(pixels, size, method=method).numpy()
    return (low + resized * ((high - low) / 255.0)).astype(np.float32)


PREPROCESSES: dict[str, Preprocess] = {
    "correct": scale_pixels,
    "bgr": lambda pixels: scale_pixels(pixels[..., ::-1]),
    "rotated by 90": lambda pixels: scale_pixels(np.rot90(pixels, axes=(1, 2))),
    "flipped": lambda pixels: scale_pixels(pixels[:, :, ::-1]),
    "nearest": lambda pixels: scale_pixels(pixels, method="nearest"),
    "area": lambda pixels: scale_pixels(pixels, method="area"),
    "range [0, 1]": lambda pixels: scale_pixels(pixels, low=0.0),
}


# --- network ----------------------------------------------------------------------------


def build_network() -> keras.Model:
    """Return the untrained network: 17 operators once batch norms are folded, 12 k weights."""
    inputs = keras.Input((INPUT_SIZE_PX, INPUT_SIZE_PX, 3), name="image")
    x = normalize(
        keras.layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False, name="stem")(inputs)
    )
    x = add_block(x, "block1", channels=16, stride=1)
    x = add_block(x, "block2", channels=32, stride=2)
    x = add_block(x, "block3", channels=32, stride=1)
    x = add_block(x, "block4", channels=64, stride=2)
    x = add_block(x, "block5", channels=64, stride=1)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dense(len(CLASSES), name="logits")(x)
    return keras.Model(inputs, keras.layers.Softmax(name="probabilities")(x), name="demo")


def add_block(x: Any, name: str, *, channels: int, stride: int) -> Any:
    """Append depthwise and pointwise convolution, with a residual where shapes allow."""
    y = keras.layers.DepthwiseConv2D(
        3, strides=stride, padding="same", use_bias=False, name=f"{name}_dw"
    )(x)
    y = keras.layers.Conv2D(channels, 1, use_bias=False, name=f"{name}_pw")(normalize(y))
    if stride > 1:
        return normalize(y)
    return keras.layers.Add(name=f"{name}_add")([x, normalize(y)])


def normalize(x: Any) -> Any:
    """Append batch norm and ReLU6, named after the convolution before them."""
    name = x._keras_history.operation.name
    # Momentum below the default of 0.99: the training is only a thousand steps.
    x = keras.layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x)
    return keras.layers.ReLU(6.0, name=f"{name}_relu6")(x)


def train_network(network: keras.Model, images: Floats, labels: Labels) -> None:
    """Fit the network, learning rate falling to zero along a cosine."""
    batch = 64
    steps = EPOCHS * -(-len(images) // batch)
    network.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(3e-3, steps)),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    network.fit(images, labels, batch_size=batch, epochs=EPOCHS, verbose=2)


# --- export -----------------------------------------------------------------------------


def convert(network: keras.Model, calibration: Floats | None) -> bytes:
    """Convert for batches of one: to float, or with calibration images to int8 throughout."""
    shape = (1, INPUT_SIZE_PX, INPUT_SIZE_PX, 3)
    archive = keras.export.ExportArchive()
    archive.track(network)
    archive.add_endpoint(
        "serve",
        lambda image: network(image, training=False),
        [tf.TensorSpec(shape, tf.float32, name="image")],
    )
    with tempfile.TemporaryDirectory() as folder:
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if calibration is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([image[None]] for image in calibration)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = tf.int8
            converter.inference_output_type = tf.int8
        content: bytes = converter.convert()
    return content


def predict_tflite(content: bytes, images: Floats) -> Labels:
    """Return the top class per image; an int8 model gets its input quantized its own way."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scale, zero_point = source["quantization"]
    tops: list[int] = []
    for image in images:
        fed = np.round(image / scale + zero_point).clip(-128, 127) if scale else image
        interpreter.set_tensor(source["index"], fed[None].astype(source["dtype"]))
        interpreter.invoke()
        tops.append(int(interpreter.get_tensor(target["index"])[0].argmax()))
    return np.array(tops)


def save_twin(network: keras.Model, file: Path) -> None:
    """Save the network without its optimizer, as an application would be given it."""
    twin = build_network()
    twin.set_weights(network.get_weights())
    file.parent.mkdir(parents=True, exist_ok=True)
    twin.save(file)


def write_images(folder: Path, pixels: Pixels, labels: Labels) -> None:
    """Write ``images/*.png`` and ``labels.csv``; names sort so that classes take turns."""
    shutil.rmtree(folder / "images", ignore_errors=True)
    (folder / "images").mkdir(parents=True)
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(["file", "label", "name"])
        for index, (image, label) in enumerate(zip(pixels, labels, strict=True)):
            name = CLASSES[label]
            file = f"{index:02}_{name}.png"
            Image.fromarray(image).save(folder / "images" / file, optimize=True)
            rows.writerow([file, label, name])


# --- report -----------------------------------------------------------------------------


def print_table(
    models: dict[str, bytes], shipped: tuple[Pixels, Labels], held_out: tuple[Pixels, Labels]
) -> None:
    """Print right answers per preprocessing as the Markdown table of ``README.md``."""
    heads = [f"{name}, {which}" for which in ("shipped", "held out") for name in models]
    print("| preprocessing | " + " | ".join(heads) + " |")
    print("|---|" + "---|" * len(heads))
    for name, preprocess in PREPROCESSES.items():
        cells: list[str] = []
        for pixels, labels in (shipped, held_out):
            images = preprocess(pixels)
            for content in models.values():
                right = int((predict_tflite(content, images) == labels).sum())
                cells.append(f"{right} of {len(labels)}")
        print(f"| {name} | " + " | ".join(cells) + " |")


def main(
    out: Annotated[Path, typer.Option(help="Folder to write; its images are replaced.")],
    twin: Annotated[
        Path | None, typer.Option(help="The .keras file, if not in that folder.")
    ] = None,
) -> None:
    """Draw, train, export and measure."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(1)
    tf.config.experimental.enable_op_determinism()

    train, shipped = draw_set(TRAIN_COUNT, seed=1), draw_set(SHIPPED_COUNT, seed=2)
    images = scale_pixels(train[0])
    network = build_network()
    train_network(network, images, train[1])
    models = {"float": convert(network, None), "int8": convert(network, images[:200])}

    write_images(out, *shipped)
    for name, content in models.items():
        (out / f"demo_{name}.tflite").write_bytes(content)
    save_twin(network, twin or out / "demo.keras")
    (out / "reference.yaml").write_text(REFERENCE_YAML, "utf-8")
    (out / "edge.yaml").write_text(EDGE_YAML, "utf-8")
    print_table(models, shipped, draw_set(HELD_OUT_COUNT, seed=3))


if __name__ == "__main__":
    typer.run(main)
