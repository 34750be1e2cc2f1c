"""The runtimes that `embed.py` compares: the whole network, and the trunk of VGG16.

All run on the CPU, on all cores.
"""

from __future__ import annotations

import logging
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Mapping
from itertools import takewhile
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from torch import Tensor, nn

from finetag_model.checkpoint import Checkpoint
from finetag_model.export import export_module
from finetag_model.inference import InferenceNetwork
from finetag_model.runtime_onnx import OnnxNetwork, cpu_session, exported_graph
from finetag_model.trunks import new_trunk
from indexer.building import BATCH

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Run = Callable[[Pixels], tuple[Floats, Floats]]
"""From pixels (B, S, S, 3) to scores and visual vectors."""

TrunkRun = Callable[[Pixels], Floats]
"""From the pixels (1, S, S, 3) of one picture to its map (1, 512, h, w)."""


def on_torch(network: nn.Module) -> Run:
    """Run a module on pixels without gradients."""

    def run(pixels: Pixels) -> tuple[Floats, Floats]:
        with torch.inference_mode():
            scores, visual, _ = network(torch.tensor(pixels))
        return scores.numpy(), visual.numpy()

    return run


def frozen(checkpoint: Checkpoint, calibration: Pixels) -> Run:
    """Trace the network and fold its constants; deprecated, but torch still has it."""
    pixels = torch.from_numpy(calibration)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        return on_torch(torch.jit.freeze(torch.jit.trace(InferenceNetwork(checkpoint), pixels)))


def compiled(checkpoint: Checkpoint, calibration: Pixels) -> Run:
    """Compile the network with its weights folded in; needs a C++ compiler."""
    network = torch.compile(InferenceNetwork(checkpoint), options={"freezing": True})
    run = on_torch(network)
    run(calibration)
    return run


def on_onnx(graph: Path) -> Run:
    """Run a graph as FineTag does."""
    network = OnnxNetwork(graph)

    def run(pixels: Pixels) -> tuple[Floats, Floats]:
        made = network.embed(pixels)
        return made.scores, made.visual

    return run


def int8(checkpoint: Checkpoint, calibration: Pixels) -> Run:
    """Quantise the trunk of the graph, ranges taken from the calibration pictures."""

    class Reader(CalibrationDataReader):
        batches = iter(np.array_split(calibration, -(-len(calibration) // BATCH)))

        def get_next(self) -> dict[str, Pixels] | None:
            batch = next(self.batches, None)
            return None if batch is None else {"pixels": batch}

    exported = exported_graph(checkpoint)
    # The first reshape begins the bilinear pooling, which is left in fp32 as it costs little.
    trunk = takewhile(lambda node: node.op_type != "Reshape", onnx.load(exported).graph.node)
    logging.getLogger().setLevel(logging.ERROR)  # it recommends a preparation that is not needed
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "int8.onnx"
        quantize_static(
            exported,
            graph,
            Reader(),
            op_types_to_quantize=["Conv", "Clip", "Add"],
            nodes_to_quantize=[node.name for node in trunk],
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,  # 8 bits overflow in AVX2, which has no VNNI: 0.024 of W_MAP
        )
        run = on_onnx(graph)
        run(calibration)  # while the file is there
        return run


RUNTIMES: Mapping[str, Callable[[Checkpoint, Pixels], Run]] = {
    "eager": lambda checkpoint, calibration: on_torch(InferenceNetwork(checkpoint)),
    "frozen": frozen,
    "compiled": compiled,
    "onnx": lambda checkpoint, calibration: on_onnx(exported_graph(checkpoint)),
    "int8": int8,
}


class Vgg16(nn.Module):
    """The trunk of VGG16 with random weights: speed does not depend on them."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.trunk = new_trunk("vgg16")
        self.eval().requires_grad_(False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the map (B, 512, h, w) of uint8 pixels (B, S, S, 3)."""
        maps: Tensor = self.trunk(pixels.permute(0, 3, 1, 2).float() / 127.5 - 1)
        return maps


def trunk_eager(trunk: Vgg16, size: int, folder: Path) -> TrunkRun:
    """Run it in torch."""

    def run(pixels: Pixels) -> Floats:
        with torch.inference_mode():
            maps: Floats = trunk(torch.tensor(pixels)).numpy()
        return maps

    return run


def trunk_onnx(trunk: Vgg16, size: int, folder: Path) -> TrunkRun:
    """Run it in ONNX Runtime."""
    graph = folder / "trunk.onnx"
    export_module(trunk, size, graph, outputs=["maps"])
    session = cpu_session(graph)

    def run(pixels: Pixels) -> Floats:
        maps: Floats = session.run(["maps"], {"pixels": pixels})[0]
        return maps

    return run


def trunk_ncnn(trunk: Vgg16, size: int, folder: Path) -> TrunkRun:
    """Convert it with pnnx and run it in ncnn, in fp32; pixels are scaled in NumPy."""
    # Of the extra `bench`, and the other rows do without them.
    import ncnn  # noqa: PLC0415
    import pnnx  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pnnx reads what torch.jit writes, which is deprecated
        torch.jit.trace(trunk.trunk, torch.zeros(1, 3, size, size)).save(folder / "trunk.pt")
    command = [pnnx.EXEC_PATH, "trunk.pt", f"inputshape=[1,3,{size},{size}]", "fp16=0"]
    subprocess.run(command, cwd=folder, capture_output=True, check=True)  # noqa: S603
    net = ncnn.Net()
    for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic"):
        setattr(net.opt, option, False)
    net.opt.num_threads = torch.get_num_threads()
    net.load_param(str(folder / "trunk.ncnn.param"))
    net.load_model(str(folder / "trunk.ncnn.bin"))

    def run(pixels: Pixels) -> Floats:
        planes = np.ascontiguousarray(pixels[0].transpose(2, 0, 1), dtype=np.float32) / 127.5 - 1
        extractor = net.create_extractor()
        extractor.input("in0", ncnn.Mat(planes))
        return np.array(extractor.extract("out0")[1])[np.newaxis]

    return run


TRUNK_RUNTIMES: Mapping[str, Callable[[Vgg16, int, Path], TrunkRun]] = {
    "eager": trunk_eager,
    "onnx": trunk_onnx,
    "ncnn": trunk_ncnn,
}
