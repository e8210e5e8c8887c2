"""SEA-RAFT (Wang, Lipson & Deng 2024) as an optical flow, for checkpoints with its authors' names.

RAFT with a first guess from both frames, fewer updates, and ConvNeXt blocks in place of gated units. Our own
statement of the published architecture (github.com/princeton-vl/SEA-RAFT, BSD-3-Clause).
"""

# pyright: basic
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vfuse.models._raft import LEVELS, MULTIPLE, RADIUS, around, pixel_grid, raised

WIDTH = 128
STAGES = (64, 128, 256)
UPDATES = 4
SHORTCUT_NORM, SAME_NORM = ".bn3.", ".downsample.1."


class Block(nn.Module):
    """Two 3 x 3 convolutions, both rectified, beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.bn1, self.bn2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.bn3 = nn.BatchNorm2d(outputs)  # checkpoints hold it under both names
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride), self.bn3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, outputs, H / stride, W / stride)."""
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())).relu()
        return (y + (x if self.downsample is None else self.downsample(x))).relu()


class Encoder(nn.Module):
    """Image or images (B, C, H, W) to features (B, 256, H / 8, W / 8)."""

    def __init__(self, channels: int, *, blocks: tuple[int, int, int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, STAGES[0], 7, stride=2, padding=3)
        self.bn1 = nn.BatchNorm2d(STAGES[0])
        self.layer1 = _stage(STAGES[0], STAGES[0], blocks[0], stride=1)
        self.layer2 = _stage(STAGES[0], STAGES[1], blocks[1], stride=2)
        self.layer3 = _stage(STAGES[1], STAGES[2], blocks[2], stride=2)
        self.final_conv = nn.Conv2d(STAGES[2], 2 * WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(self.conv1(x)).relu()
        return self.final_conv(self.layer3(self.layer2(self.layer1(x))))


def _stage(inputs: int, outputs: int, count: int, *, stride: int) -> nn.Sequential:
    first = Block(inputs, outputs, stride=stride)
    return nn.Sequential(first, *(Block(outputs, outputs, stride=1) for _ in range(count - 1)))


class MotionEncoder(nn.Module):
    """Correlation and flow to 128 channels of motion, the last two being the flow itself."""

    def __init__(self) -> None:
        super().__init__()
        self.convc1 = nn.Conv2d(LEVELS * (2 * RADIUS + 1) ** 2, 2 * WIDTH, 1)
        self.convc2 = nn.Conv2d(2 * WIDTH, WIDTH * 3 // 2, 3, padding=1)
        self.convf1 = nn.Conv2d(2, WIDTH, 7, padding=3)
        self.convf2 = nn.Conv2d(WIDTH, WIDTH // 2, 3, padding=1)
        self.conv = nn.Conv2d(2 * WIDTH, WIDTH - 2, 3, padding=1)

    def forward(self, flow: Tensor, correlation: Tensor) -> Tensor:
        correlation = self.convc2(self.convc1(correlation).relu()).relu()
        moved = self.convf2(self.convf1(flow).relu()).relu()
        return torch.cat([self.conv(torch.cat([correlation, moved], dim=1)).relu(), flow], dim=1)


class ConvNeXt(nn.Module):
    """7 x 7 depthwise convolution and a layer for each pixel, scaled and added, then a change of width."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(inputs, inputs, 7, padding=3, groups=inputs)
        self.norm = nn.LayerNorm(inputs, eps=1e-6)
        self.pwconv1 = nn.Linear(inputs, 4 * outputs)
        self.pwconv2 = nn.Linear(4 * outputs, inputs)
        self.gamma = nn.Parameter(torch.full((inputs,), 1e-6))
        self.final = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.dwconv(x).permute(0, 2, 3, 1))  # B H W C
        y = self.gamma * self.pwconv2(F.gelu(self.pwconv1(y)))
        return self.final(x + y.permute(0, 3, 1, 2))


class UpdateBlock(nn.Module):
    """One refinement of the hidden state (B, 128, H, W) from context, correlation and flow."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = MotionEncoder()
        self.refine = nn.ModuleList(ConvNeXt(3 * WIDTH, WIDTH) for _ in range(2))

    def forward(self, h: Tensor, context: Tensor, correlation: Tensor, flow: Tensor) -> Tensor:
        motion = self.encoder(flow, correlation)
        for block in self.refine:
            h = block(torch.cat([h, context, motion], dim=1))
        return h


def _head(outputs: int, *, last: int) -> nn.Sequential:
    padding = last // 2
    return nn.Sequential(
        nn.Conv2d(WIDTH, 2 * WIDTH, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(2 * WIDTH, outputs, last, padding=padding),
    )


class SeaRaft(nn.Module):
    """Two images (B, 3, H, W) in [-1, 1], sides multiples of 8 and at least 128, to the flow (B, 2, H, W).

    Args:
        blocks: residual blocks in each stage of the encoders: (2, 2, 2) for S, (3, 4, 6) for M.
    """

    def __init__(self, *, blocks: tuple[int, int, int]) -> None:
        super().__init__()
        self.cnet = Encoder(6, blocks=blocks)
        self.init_conv = nn.Conv2d(2 * WIDTH, 2 * WIDTH, 3, padding=1)
        self.upsample_weight = _head(MULTIPLE * MULTIPLE * 9, last=1)
        self.flow_head = _head(
            6, last=3
        )  # the flow, and four numbers on its uncertainty that only training uses
        self.fnet = Encoder(3, blocks=blocks)
        self.update_block = UpdateBlock()

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        h, context = self.init_conv(self.cnet(torch.cat([first, second], dim=1))).split(WIDTH, dim=1)
        flow = self.flow_head(h)[:, :2]
        pyramid = correlations(self.fnet(first), self.fnet(second))
        grid = pixel_grid(*h.shape[-2:], like=h)
        for _ in range(UPDATES):
            h = self.update_block(h, context, around(pyramid, grid + flow), flow)
            flow = flow + self.flow_head(h)[:, :2]
        return raised(flow, 0.25 * self.upsample_weight(h))


def correlations(first: Tensor, second: Tensor) -> list[Tensor]:
    """All products of two feature maps, the second at four resolutions: each (B H W, 1, h, w)."""
    queries = first.flatten(2).transpose(1, 2) / first.shape[1] ** 0.5
    levels: list[Tensor] = []
    for _ in range(LEVELS):
        levels.append((queries @ second.flatten(2)).reshape(-1, 1, *second.shape[-2:]))
        second = F.interpolate(second, scale_factor=0.5, mode="bilinear", align_corners=False)
    return levels


def convert_published(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A checkpoint with both names of each shortcut's normalisation; safetensors files keep only one."""
    pairs = ((SHORTCUT_NORM, SAME_NORM), (SAME_NORM, SHORTCUT_NORM))
    twins = {key.replace(a, b): tensor for key, tensor in state.items() for a, b in pairs if a in key}
    return {**twins, **state}
