"""Net: YOLO26n's trunk with the weights it has from COCO, frozen, and a linear head for one class.

Needs the `train` extra (torch, ultralytics). The trunk is everything before YOLO's own `Detect`. Output as of the other
released nets: (batch, 4 + 1, cells), box centre and size in input pixels and a score in 0–1.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("YOLO_OFFLINE", "true")

import numpy as np
import torch
from torch import Tensor, nn
from ultralytics.nn.tasks import DetectionModel

from models.stalls.head import STRIDES, Head, cells


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
            if isinstance(source, list):
                told: Any = [x if j == -1 else made[j] for j in source]
            else:
                told = x if source == -1 else made[source]
            x = layer(told)
            made.append(x)
        return [made[i] for i in self.taken]


def _of_trunk(name: str) -> bool:
    return not name.startswith("model.23.") and not name.endswith("num_batches_tracked")


class Net(nn.Module):
    """What ships: the trunk, and for each of its maps a head, as a convolution of 1 x 1."""

    def __init__(self, trunk: Trunk, heads: Sequence[Head]) -> None:
        super().__init__()
        self.trunk = trunk
        self.heads = nn.ModuleList(nn.Conv2d(head.weight.shape[1], 5, 1) for head in heads)
        for made, head in zip(self.heads, heads, strict=True):
            made.weight.data = torch.from_numpy(head.weight.astype(np.float32))[:, :, None, None]
            made.bias.data = torch.from_numpy(head.bias.astype(np.float32))

    def forward(self, x: Tensor) -> Tensor:
        told = [self._level(level, features) for level, features in enumerate(self.trunk(x))]
        return torch.cat(told, dim=2)

    def _level(self, level: int, features: Tensor) -> Tensor:
        """(batch, 5, cells): as `Head.told`."""
        x = self.heads[level](features)
        sides = x[:, 1:].flatten(2).exp() * float(STRIDES[level])
        centre = torch.from_numpy(cells(x.shape[2], x.shape[3], STRIDES[level])).T[None]
        low, high = centre - sides[:, :2], centre + sides[:, 2:]
        return torch.cat([(low + high) / 2, high - low, x[:, :1].flatten(2).sigmoid()], dim=1)


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
