"""Quantise: the INT8 twin of a released model, for CPUs.

    python -m vision.quantise models/streetscape-v1/model.onnx models/streetscape-v1/model.int8.onnx --data PICTURES

Static, QDQ, per channel: weights int8, such that no processor's additions saturate (vision.saturation); activations
uint8, ranges from pictures of the training split, letterboxed as the hot path does, without the outermost
hundred-thousandth. Only what goes *into* a convolution is quantised: what comes out of it stays float until its
activation function is through, which OpenVINO computes inside the convolution. The last convolutions, whose output is
boxes and scores, and everything that is no convolution stay float.

Needs `onnx` (the dev and train extras).
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from vision.batch import unit_planes
from vision.jpeg import decode_picture
from vision.saturation import refit

PICTURES = 64
PERCENTILE = 99.999  # of activations that a range covers: nearer to the float net than the full range


class Pictures(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """Tensors of pictures, one at a time, as the quantiser asks for them."""

    def __init__(self, name: str, files: Sequence[Path], shape_hw: tuple[int, int]) -> None:
        self._feeds = ({name: tensor} for tensor in tensors(files, shape_hw))

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self._feeds, None)


def quantise(
    model: Path, out: Path, files: Sequence[Path], *, shape_hw: tuple[int, int] = (384, 640), count: int = PICTURES
) -> Path:
    """Write `out` from the float `model` and `count` of the pictures, chosen by a seed."""
    chosen = random.Random(0).sample(sorted(files), min(count, len(files)))  # nosec B311
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(model), str(prepared), skip_symbolic_shape=True)
        graph = onnx.load(prepared).graph
        weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
        last = last_convolutions(graph)
        quantize_static(
            str(prepared),
            str(out),
            Pictures(graph.input[0].name, chosen, shape_hw),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=sorted(last),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.Percentile,
            extra_options={
                "OpTypesToExcludeOutputQuantization": ["Conv"],
                "ActivationSymmetric": False,
                "CalibPercentile": PERCENTILE,
            },
        )
    made = onnx.load(out)
    refit(made, weights)
    _restore_facts(model, made)
    onnx.save(made, out)
    return out


def tensors(files: Sequence[Path], shape_hw: tuple[int, int]) -> Iterator[NDArray[np.float32]]:
    """Pictures as the float model reads them: (1, 3, H, W), RGB, 0–1."""
    canvas = np.empty((1, *shape_hw, 3), np.uint8)
    for file in files:
        image, letterbox = decode_picture(file.read_bytes(), shape_hw)
        letterbox.place(image, canvas[0])
        yield unit_planes(canvas)


def last_convolutions(graph: onnx.GraphProto) -> set[str]:
    """Names of the convolutions that no other convolution follows: what they say is read as boxes and scores."""
    by_output = {name: node for node in graph.node for name in node.output}
    last, seen, to_visit = set(), set(), [output.name for output in graph.output]
    while to_visit:
        node = by_output.get(to_visit.pop())
        if node is None or node.name in seen:
            continue
        seen.add(node.name)
        if node.op_type == "Conv":
            last.add(node.name)
        elif node.op_type != "Shape":  # how large a map is says nothing of what is on it
            to_visit += node.input
    return last


def _restore_facts(model: Path, made: onnx.ModelProto) -> None:
    """The quantiser drops class names and stride: write them back, and nothing that tells of this machine."""
    facts = {entry.key: entry.value for entry in onnx.load(model, load_external_data=False).metadata_props}
    onnx.helper.set_model_props(made, facts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder of training pictures")
    parser.add_argument("--count", type=int, default=PICTURES, help="pictures to take ranges from")
    parser.add_argument("--shape", type=int, nargs=2, default=(384, 640), metavar=("HEIGHT", "WIDTH"))
    args = parser.parse_args()
    files = [path for path in args.data.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png")]
    if not files:
        parser.error(f"{args.data} holds no pictures")
    out = quantise(args.model, args.out, files, shape_hw=tuple(args.shape), count=args.count)
    print(f"{out} ({out.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
