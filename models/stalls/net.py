"""Net: YOLO26n's trunk with the weights it has from COCO, frozen, and a small head for one class.

Needs the `train` extra (torch, ultralytics). The trunk is everything before YOLO's own `Detect`; the head looks at each
cell of its three feature maps alone, which a CPU learns in seconds once the features are kept. Output as of the other
released nets: (batch, 4 + 1, cells), box centre and size in input pixels and a score in 0–1.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("YOLO_OFFLINE", "true")

import numpy as np
import torch
from torch import Tensor, nn
from ultralytics.nn.tasks import DetectionModel

STRIDES = (8, 16, 32)
CHANNELS = (64, 128, 256)
HIDDEN = 48


class Trunk(nn.Module):
    """Picture (batch, 3, H, W), RGB in 0–1, to three feature maps at STRIDES."""

    def __init__(self, state: Path) -> None:
        """`state` is an .npz of ultralytics' state-dict names. Raises ValueError when it is not YOLO26n's."""
        super().__init__()
        net = DetectionModel("yolo26n.yaml", ch=3, verbose=False)
        with np.load(state) as found:
            wanted = {name: torch.from_numpy(found[name].astype(np.float32)) for name in found.files}
        missing = [name for name in net.load_state_dict(wanted, strict=False).missing_keys if _of_trunk(name)]
        if missing:
            raise ValueError(f"{state} lacks {len(missing)} tensors of YOLO26n, {missing[0]} first")
        net.eval().fuse(verbose=False)
        self.layers = nn.ModuleList(list(net.model)[:-1])
        self.taken: list[int] = list(net.model[-1].f)
        for weight in self.parameters():
            weight.requires_grad_(False)

    def forward(self, x: Tensor) -> list[Tensor]:
        made: list[Tensor] = []
        for layer in self.layers:
            source: Any = layer.f
            if source != -1:
                x = made[source] if isinstance(source, int) else [x if j == -1 else made[j] for j in source]  # type: ignore[assignment]
            x = layer(x)
            made.append(x)
        return [made[i] for i in self.taken]


def _of_trunk(name: str) -> bool:
    return not name.startswith("model.23.") and not name.endswith("num_batches_tracked")


class PointHead(nn.Module):
    """Of every cell of one map, from its features: a logit and the distances to the four sides, in strides."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(channels), requires_grad=False)
        self.spread = nn.Parameter(torch.ones(channels), requires_grad=False)
        self.hidden = nn.Linear(channels, HIDDEN)
        self.out = nn.Linear(HIDDEN, 5)
        nn.init.constant_(self.out.bias[:1], -3.0)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, C) to logits (N,) and distances (N, 4): left, top, right, bottom."""
        x = self.out(nn.functional.silu(self.hidden((x - self.mean) / self.spread)))
        return x[:, 0], nn.functional.softplus(x[:, 1:]) * 2.0


class Net(nn.Module):
    """What ships: trunk and heads together."""

    def __init__(self, trunk: Trunk, heads: nn.ModuleList) -> None:
        super().__init__()
        self.trunk, self.heads = trunk, heads

    def forward(self, x: Tensor) -> Tensor:
        told = [self._level(level, features) for level, features in enumerate(self.trunk(x))]
        return torch.cat(told, dim=2)

    def _level(self, level: int, features: Tensor) -> Tensor:
        """The head as convolutions, which engines like better; (batch, 5, cells)."""
        head: Any = self.heads[level]
        first = head.hidden.weight / head.spread
        bias = head.hidden.bias - first @ head.mean
        x = nn.functional.silu(nn.functional.conv2d(features, first[:, :, None, None], bias))
        x = nn.functional.conv2d(x, head.out.weight[:, :, None, None], head.out.bias)
        rows, columns = x.shape[2], x.shape[3]
        sides = nn.functional.softplus(x[:, 1:].flatten(2)) * (2.0 * STRIDES[level])
        centre = cells(rows, columns, STRIDES[level]).T[None]
        low, high = centre - sides[:, :2], centre + sides[:, 2:]
        return torch.cat([(low + high) / 2, high - low, x[:, :1].flatten(2).sigmoid()], dim=1)


def cells(rows: int, columns: int, stride: int) -> Tensor:
    """Centres (rows * columns, 2) of the cells of a map, x and y in input pixels."""
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return (torch.stack([x.flatten(), y.flatten()], dim=1) + 0.5) * stride


def new_heads(seed: int) -> nn.ModuleList:
    """Untaught heads for the three maps."""
    torch.manual_seed(seed)
    return nn.ModuleList(PointHead(channels) for channels in CHANNELS)


def export(net: Net, out: Path, shape_hw: tuple[int, int]) -> None:
    """Write the net as ONNX, dynamic in batch."""
    net.eval()
    torch.onnx.export(
        net,
        (torch.zeros(1, 3, *shape_hw),),
        str(out),
        input_names=["images"],
        output_names=["output0"],
        dynamic_axes={"images": {0: "batch"}, "output0": {0: "batch"}},
        opset_version=17,
        dynamo=False,
    )
