"""How far flow training and extraction are above what the machine could do at best.

    python benchmarks/floor.py [--flow paper | 2x512] [--threads 1] [--device cuda --images 8] [--compile]

The floor of a training step is its matrix products at the rate of a large matrix product, plus weights,
gradients and Adam's two moments read and weights and moments written at the bandwidth of a large copy, both
measured in the same run. Products of a batch of 96 do not reach the rate of a large one: a second floor takes
the step's own products, each run alone. The floor of a pass of the backbone counts pointwise and full
convolutions by their operations and depthwise ones by the bytes they read and write: they hardly multiply. The
best round counts.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.sets import read_parameters

from irp_kedro.detectors.captured_step import CapturedStep
from irp_kedro.detectors.differnet import DifferNet
from irp_kedro.detectors.settings import DetectorSettings
from irp_kedro.features.backbone import Backbone
from irp_kedro.features.device import resolve_precision
from irp_kedro.features.views import even_angles, rotate
from irp_kedro.parameters import FlowParameters, Parameters

PAPER = FlowParameters(blocks=8, hidden=2048, layers=3, clamp=3.0)
BYTES_OF_ADAM = 7 * 4  # a weight: gradient, weight and two moments read, weight and two moments written
BEST_OF = 7
TOGETHER = 10  # runs on a GPU: one may take less than waiting for it


def seconds(run: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Return the least wall and process time of a few runs."""
    run()
    best = [float("inf"), float("inf")]
    times = 1 if device.type == "cpu" else TOGETHER
    for _ in range(BEST_OF):
        wait(device)
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(times):
            run()
        wait(device)
        best = [min(best[0], time.perf_counter() - wall), min(best[1], time.process_time() - cpu)]
    return best[0] / times, best[1] / times


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def matrix_rate(dtype: torch.dtype, device: torch.device) -> float:
    """Return operations a second of a large matrix product."""
    side = 4096 if device.type == "cuda" else 1024
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    return 2 * side**3 / seconds(lambda: left @ right, device)[0]


def bandwidth(device: torch.device) -> float:
    """Return bytes a second, read and written, of a large copy."""
    origin, copy = (torch.ones(50_000_000, device=device) for _ in range(2))
    return 2 * origin.nbytes / seconds(lambda: copy.copy_(origin), device)[0]


def flow_products(detector: DifferNet) -> int:
    """Return the multiplications and additions of one vector, forwards."""
    return sum(2 * module.weight.numel() for module in detector.flow.modules() if isinstance(module, nn.Linear))


def own_products(detector: DifferNet, batch: int, dtype: torch.dtype, device: torch.device) -> float:
    """Return seconds of a step's own products alone: forwards, to the inputs, to the weights, of each layer."""
    weights = [module.weight for module in detector.flow.modules() if isinstance(module, nn.Linear)]
    n_out, n_in = (sorted({weight.shape[side] for weight in weights}) for side in (0, 1))
    given = {width: torch.randn(batch, width, device=device).to(dtype) for width in (*n_in, *n_out)}
    layers = [(weight.detach().to(dtype), given[weight.shape[1]], given[weight.shape[0]]) for weight in weights]

    def run() -> None:
        for weight, inputs, gradient in layers:
            inputs @ weight.t()
            gradient @ weight
            gradient.t() @ inputs

    return seconds(recorded(run, device), device)[0]


def recorded(run: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """Return what does the same on a GPU at one launch: starting small products takes longer than they do."""
    if device.type == "cpu":
        return run
    aside, graph = torch.cuda.Stream(device), torch.cuda.CUDAGraph()
    with torch.cuda.stream(aside):
        run()
    with torch.cuda.graph(graph, stream=aside):
        run()
    return graph.replay


def flow_of(asked: str, default: FlowParameters) -> FlowParameters:
    """Return the flow that is called ``default`` or ``paper``, or the default with BLOCKSxHIDDEN."""
    if asked in ("default", "paper"):
        return PAPER if asked == "paper" else default
    blocks, hidden = map(int, asked.split("x"))
    return default.model_copy(update={"blocks": blocks, "hidden": hidden})


def show_flow(options: argparse.Namespace, parameters: Parameters, device: torch.device) -> None:
    """Print a training step and its floor, in both precisions."""
    n_features, batch = 944, parameters.training.batch_views
    heads = (
        "flow training, one step",
        "operations",
        "Adam's bytes",
        "floor ms",
        "wall ms",
        "cpu ms",
        "wall / floor",
        "floor with its own products ms",
        "wall / that",
    )
    table = Table(*heads, box=None)
    speed = bandwidth(device)
    for precision in ("float32", "bfloat16"):
        flow = flow_of(options.flow, parameters.flow)
        training = parameters.training.model_copy(update={"precision": precision})
        settings = DetectorSettings(
            flow=flow, training=training, views=parameters.views, score="latent_energy", seed=0
        )
        generator = torch.Generator().manual_seed(0)
        features = torch.randn(batch, 8, n_features, generator=generator).half().to(device)
        detector = DifferNet(features, settings)
        detector.fit(np.arange(batch), epochs=1)
        vectors = torch.randn(batch, n_features, generator=generator).to(device)
        rate = matrix_rate(getattr(torch, precision), device)
        operations = 3 * batch * flow_products(detector)  # forwards, to the inputs, to the weights
        weights = sum(value.numel() for value in detector.flow.parameters() if value.requires_grad)
        adam = weights * BYTES_OF_ADAM / speed
        floor = operations / rate + adam
        own_floor = own_products(detector, batch, getattr(torch, precision), device) + adam
        steps = {"": detector._train_step}
        if CapturedStep.possible(device):
            steps = {", one by one": detector._train_step, ", recorded": detector._take_step}
        named = f"{precision} ({rate / 1e9:.0f} G/s, {speed / 1e9:.0f} GB/s)"
        cells = [f"{operations / 1e9:.2f} G", f"{weights * BYTES_OF_ADAM / 1e6:.0f} MB"]
        for how, step in steps.items():
            wall, cpu = seconds(partial(step, vectors), device)
            took = [f"{1000 * value:#.3g}" for value in (floor, wall, cpu)]
            table.add_row(
                named + how,
                *cells,
                *took,
                f"{wall / floor:.2f}",
                f"{1000 * own_floor:#.3g}",
                f"{wall / own_floor:.2f}",
            )
    Console(width=170).print(table)


@dataclass(frozen=True)
class Convolution:
    """What one convolution does in a pass: its operations, and the bytes that it reads and writes."""

    name: str
    depthwise: bool
    operations: float
    moved: float

    def floor(self, rate: float, speed: float) -> float:
        """Return seconds: a dense one by its operations, a depthwise one by its bytes."""
        return self.moved / speed if self.depthwise else self.operations / rate


def convolutions(network: nn.Module, images: Tensor, itemsize: int) -> list[Convolution]:
    """Return every convolution of a pass, in order; one that passes several scales counts for each."""
    found: list[Convolution] = []

    def note(name: str, module: nn.Conv2d, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        operations = 2 * output.numel() * module.weight[0].numel()
        moved = (inputs[0].numel() + output.numel()) * itemsize
        found.append(Convolution(name, module.groups > 1, operations, moved))

    hooks = [
        module.register_forward_hook(partial(note, name))
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d)
    ]
    network(images)
    for hook in hooks:
        hook.remove()
    return found


def show_layers(layers: list[Convolution], rate: float, speed: float) -> None:
    """Print the convolutions whose floors are the highest, both scales of one together."""
    table = Table("convolutions, highest floors", "kind", "G operations", "MB moved", "floor ms", box=None)
    by_name: dict[str, list[Convolution]] = {}
    for layer in layers:
        by_name.setdefault(layer.name, []).append(layer)
    floors = {name: sum(layer.floor(rate, speed) for layer in own) for name, own in by_name.items()}
    for name in sorted(floors, key=lambda name: -floors[name])[:10]:
        own = by_name[name]
        table.add_row(
            name,
            "depthwise" if own[0].depthwise else "dense",
            f"{sum(layer.operations for layer in own) / 1e9:.2f}",
            f"{sum(layer.moved for layer in own) / 1e6:.1f}",
            f"{1000 * floors[name]:.2f}",
        )
    Console(width=170).print(table)


def show_extraction(options: argparse.Namespace, parameters: Parameters, device: torch.device) -> None:
    """Print the stages of an image's extraction and the backbone's floor."""
    console, size, angles = Console(width=170), parameters.preparation.size, even_angles(parameters.views.bank)
    n_images, n_views = options.images, len(angles)
    precision = resolve_precision(parameters.features.precision, device)
    backbone = Backbone(parameters.backbone, parameters.features.scales, precision).to(device)
    half = precision == "bfloat16"
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, half):
        image = torch.rand(n_images, 3, size, size, device=device)
        views = rotate(image, angles)
        layers = convolutions(backbone, views, 2 if half else 4)
        rate, speed = matrix_rate(getattr(torch, precision), device), bandwidth(device)
        show_layers(layers, rate, speed)
        floor = sum(layer.floor(rate, speed) for layer in layers)
        dense = sum(layer.operations for layer in layers if not layer.depthwise)
        moved = sum(layer.moved for layer in layers if layer.depthwise)
        table = Table(f"extraction, {n_images} x {n_views} views, {precision}", "wall ms", "cpu ms", box=None)
        told = f"floor: {dense / 1e9:.2f} G operations dense; {moved / 1e6:.0f} MB moved by depthwise ones"
        table.add_row(told, f"{1000 * floor:#.3g}", "")
        stages = {"rotation": lambda: rotate(image, angles), "backbone": lambda: backbone(views)}
        if options.compile:
            compiled = torch.compile(backbone)
            began = time.perf_counter()
            compiled(views)
            table.add_row("torch.compile, once", f"{1000 * (time.perf_counter() - began):.0f}", "")
            stages["backbone, compiled"] = lambda: compiled(views)
        for stage, run in stages.items():
            wall, cpu = seconds(run, device)
            ratio = f"  ({wall / floor:.2f} x floor)" if stage != "rotation" else ""
            table.add_row(stage + ratio, f"{1000 * wall:#.3g}", f"{1000 * cpu:#.3g}")
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flow", default="default", help="default, paper, or BLOCKSxHIDDEN, such as 2x512")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--images", type=int, default=1, help="whose views pass the backbone together")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--compile", action="store_true", help="also measure torch.compile; needs a C++ compiler"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    parameters, device = read_parameters(), torch.device(options.device)
    show_flow(options, parameters, device)
    show_extraction(options, parameters, device)


if __name__ == "__main__":
    main()
