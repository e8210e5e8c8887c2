"""RAFT (Teed & Deng 2020) as an optical flow, for checkpoints with torchvision's names."""

# pyright: basic
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEVELS, RADIUS = 4, 4
HIDDEN = 128
UPDATES = 12
MULTIPLE = 8


def conv_norm(
    inputs: int,
    outputs: int,
    kernel: int,
    *,
    norm: type[nn.Module] | None = None,
    stride: int = 1,
    relu: bool = True,
) -> nn.Sequential:
    """Convolution that keeps the size (but for its stride), normalisation, ReLU."""
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2)]
    layers += [norm(outputs)] if norm is not None else []
    return nn.Sequential(*layers, *([nn.ReLU()] if relu else []))


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, *, norm: type[nn.Module], stride: int) -> None:
        super().__init__()
        self.convnormrelu1 = conv_norm(inputs, outputs, 3, norm=norm, stride=stride)
        self.convnormrelu2 = conv_norm(outputs, outputs, 3, norm=norm)
        self.downsample = nn.Identity()
        if stride != 1:
            self.downsample = conv_norm(inputs, outputs, 1, norm=norm, stride=stride, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, outputs, H / stride, W / stride)."""
        return (self.downsample(x) + self.convnormrelu2(self.convnormrelu1(x))).relu()


def two_blocks(inputs: int, outputs: int, *, norm: type[nn.Module], stride: int) -> nn.Sequential:
    """The first block changes width and size."""
    first = ResidualBlock(inputs, outputs, norm=norm, stride=stride)
    return nn.Sequential(first, ResidualBlock(outputs, outputs, norm=norm, stride=1))


class Encoder(nn.Module):
    """Image (B, 3, H, W) to features (B, 256, H / 8, W / 8)."""

    def __init__(self, *, norm: type[nn.Module]) -> None:
        super().__init__()
        self.convnormrelu = conv_norm(3, 64, 7, norm=norm, stride=2)
        self.layer1 = two_blocks(64, 64, norm=norm, stride=1)
        self.layer2 = two_blocks(64, 96, norm=norm, stride=2)
        self.layer3 = two_blocks(96, 128, norm=norm, stride=2)
        self.conv = nn.Conv2d(128, 256, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.layer3(self.layer2(self.layer1(self.convnormrelu(x)))))


class MotionEncoder(nn.Module):
    """Correlation and flow to 128 channels of motion, the last two being the flow itself."""

    def __init__(self) -> None:
        super().__init__()
        self.convcorr1 = conv_norm(LEVELS * (2 * RADIUS + 1) ** 2, 256, 1)
        self.convcorr2 = conv_norm(256, 192, 3)
        self.convflow1 = conv_norm(2, 128, 7)
        self.convflow2 = conv_norm(128, 64, 3)
        self.conv = conv_norm(256, 126, 3)

    def forward(self, flow: Tensor, correlation: Tensor) -> Tensor:
        correlation = self.convcorr2(self.convcorr1(correlation))
        motion = torch.cat([correlation, self.convflow2(self.convflow1(flow))], dim=1)
        return torch.cat([self.conv(motion), flow], dim=1)


class ConvGRU(nn.Module):
    """Gated recurrent unit along one axis."""

    def __init__(self, kernel: tuple[int, int]) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2)
        self.convz, self.convr, self.convq = (
            nn.Conv2d(3 * HIDDEN, HIDDEN, kernel, padding=padding) for _ in range(3)
        )

    def forward(self, h: Tensor, x: Tensor) -> Tensor:
        hx = torch.cat([h, x], dim=1)
        z, r = self.convz(hx).sigmoid(), self.convr(hx).sigmoid()
        q = self.convq(torch.cat([r * h, x], dim=1)).tanh()
        return (1 - z) * h + z * q


class RecurrentBlock(nn.Module):
    """One unit along the rows, one along the columns."""

    def __init__(self) -> None:
        super().__init__()
        self.convgru1 = ConvGRU((1, 5))
        self.convgru2 = ConvGRU((5, 1))

    def forward(self, h: Tensor, x: Tensor) -> Tensor:
        return self.convgru2(self.convgru1(h, x), x)


class FlowHead(nn.Module):
    """Hidden state to a change of the flow."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(HIDDEN, 256, 3, padding=1)
        self.conv2 = nn.Conv2d(256, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.conv1(x).relu())


class UpdateBlock(nn.Module):
    """One refinement: hidden state, context, correlation, flow to hidden state and change of flow."""

    def __init__(self) -> None:
        super().__init__()
        self.motion_encoder = MotionEncoder()
        self.recurrent_block = RecurrentBlock()
        self.flow_head = FlowHead()

    def forward(self, h: Tensor, context: Tensor, correlation: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.cat([context, self.motion_encoder(flow, correlation)], dim=1)
        h = self.recurrent_block(h, x)
        return h, self.flow_head(h)


class MaskPredictor(nn.Module):
    """Hidden state to the weights that raise the flow to full size."""

    def __init__(self) -> None:
        super().__init__()
        self.convrelu = conv_norm(HIDDEN, 256, 3)
        self.conv = nn.Conv2d(256, MULTIPLE * MULTIPLE * 9, 1)

    def forward(self, x: Tensor) -> Tensor:
        return 0.25 * self.conv(self.convrelu(x))


class Raft(nn.Module):
    """Two images (B, 3, H, W) in [-1, 1], sides multiples of 8 and at least 128, to the flow (B, 2, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.feature_encoder = Encoder(norm=nn.InstanceNorm2d)
        self.context_encoder = Encoder(norm=nn.BatchNorm2d)
        self.update_block = UpdateBlock()
        self.mask_predictor = MaskPredictor()

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        pyramid = correlations(self.feature_encoder(first), self.feature_encoder(second))
        state, context = self.context_encoder(first).split(HIDDEN, dim=1)
        h, context = state.tanh(), context.relu()
        grid = pixel_grid(*h.shape[-2:], like=h)
        flow = torch.zeros_like(grid).repeat(len(h), 1, 1, 1)
        for _ in range(UPDATES):
            h, change = self.update_block(h, context, around(pyramid, grid + flow), flow)
            flow = flow + change
        return raised(flow, self.mask_predictor(h))


def pixel_grid(height: int, width: int, *, like: Tensor) -> Tensor:
    """x and y of every pixel, (1, 2, H, W)."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x, y])[None].to(like)


def correlations(first: Tensor, second: Tensor) -> list[Tensor]:
    """All products of two feature maps, at four resolutions of the second: each (B H W, 1, h, w)."""
    channels, height, width = first.shape[1:]
    product = first.flatten(2).transpose(1, 2) @ second.flatten(2) / channels**0.5
    levels = [product.reshape(-1, 1, height, width)]
    for _ in range(LEVELS - 1):
        levels.append(F.avg_pool2d(levels[-1], 2))
    return levels


def around(pyramid: list[Tensor], centres: Tensor) -> Tensor:
    """Correlations in a 9 x 9 neighbourhood of each pixel's centre on every level, (B, levels x 81, H, W)."""
    batch, _, height, width = centres.shape
    reach = torch.arange(-RADIUS, RADIUS + 1).to(centres)
    delta = torch.stack(torch.meshgrid(reach, reach, indexing="ij"), dim=-1)  # the first axis moves along x
    points = centres.permute(0, 2, 3, 1).reshape(-1, 1, 1, 2)
    found = []
    for level, volume in enumerate(pyramid):
        size = torch.tensor([volume.shape[-1] - 1, volume.shape[-2] - 1]).to(centres)
        places = 2 * (points / 2**level + delta) / size - 1
        values = F.grid_sample(volume, places, mode="bilinear", align_corners=True)
        found.append(values.reshape(batch, height, width, -1))
    return torch.cat(found, dim=-1).permute(0, 3, 1, 2).contiguous()


def raised(flow: Tensor, weights: Tensor) -> Tensor:
    """The flow at 8 times the size: each pixel a convex combination of its 3 x 3 coarse neighbours."""
    batch, _, height, width = flow.shape
    weights = weights.view(batch, 1, 9, MULTIPLE, MULTIPLE, height, width).softmax(dim=2)
    patches = F.unfold(MULTIPLE * flow, 3, padding=1).view(batch, 2, 9, 1, 1, height, width)
    fine = (weights * patches).sum(dim=2).permute(0, 1, 4, 2, 5, 3)
    return fine.reshape(batch, 2, MULTIPLE * height, MULTIPLE * width)
