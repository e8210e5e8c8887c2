# pyright: basic
"""Convolution blocks over time, space and scale, on feature maps (N, C, h, w).

N = B * T with time the fast index, stored channels-last: that layout alone makes convolutions several times
faster on a CPU, and a clip of such frames is at once a channels-last volume for 3-D convolutions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vfuse.models._winograd import Conv3x3, faster, winograd3x3

SLOW_VOLUME = 20_480  # T * C * h; single float32 clips up to this size get torch's slow 3-D kernel on a CPU


def conv3x3(c_in: int, c_out: int, *, bias: bool = False) -> Conv3x3:
    return Conv3x3(c_in, c_out, bias=bias)


class TemporalConv(nn.Conv3d):
    """3x3x3 convolution, zero padding, on (B * T, C, h, w).

    The last `still` channels of the input are seen in the frame itself only, through 3x3 pixels.
    """

    def __init__(self, c_in: int, c_out: int, *, still: int = 0) -> None:
        super().__init__(c_in - still, c_out, 3, padding=1)
        self.still = conv3x3(still, c_out) if still else None

    def forward(self, x: Tensor, *, frames: int) -> Tensor:
        if self.still is None:
            return self._over_time(x, frames)
        moving, still = x.tensor_split([self.in_channels], dim=1)
        return self._over_time(moving, frames).add_(self.still(still))

    def _over_time(self, x: Tensor, frames: int) -> Tensor:
        if frames == 1:  # only the middle of the kernel meets a frame
            return F.conv2d(x, self.weight[:, :, 1], self.bias, padding=1)
        if faster(x, self.weight):
            return self._frame_by_frame(x, frames)
        if x.shape[0] == frames and frames * x.shape[1] * x.shape[2] <= SLOW_VOLUME:
            return self._stacked(x, frames)
        # (B, C, T, h, w): a view, channels-last as x is
        volume = x.unflatten(0, (-1, frames)).transpose(1, 2)
        return super().forward(volume).transpose(1, 2).flatten(0, 1)

    def _frame_by_frame(self, x: Tensor, frames: int) -> Tensor:
        """The same as a 2-D convolution of one frame and its neighbours after the other, by Winograd."""
        kernels = self.weight.transpose(1, 2)  # (c_out, 3, c_in, 3, 3)
        size = (len(x), len(kernels), *x.shape[2:])
        out = torch.empty(size, dtype=x.dtype, memory_format=torch.channels_last)
        for i in range(len(x)):
            start = i - i % frames  # of the clip
            first, end = max(i - 1, start), min(i + 2, start + frames)
            met = kernels[:, first - i + 1 : end - i + 1]  # at the ends of a clip, two of the three
            seen = x[first:end].permute(2, 3, 0, 1).flatten(2).permute(2, 0, 1)  # channels-last, as x is
            out[i] = winograd3x3(seen[None], met.flatten(1, 2), self.bias)[0]
        return out

    def _stacked(self, x: Tensor, frames: int) -> Tensor:
        """The same as a 2-D convolution of every frame, stacked with its neighbours, over 3 C channels."""
        clip = F.pad(x.unflatten(0, (-1, frames)), (0, 0, 0, 0, 0, 0, 1, 1))
        stacked = torch.cat([clip[:, :-2], clip[:, 1:-1], clip[:, 2:]], dim=2).flatten(0, 1)
        kernel = self.weight.transpose(1, 2).flatten(1, 2)  # (c_out, 3 c_in, 3, 3), time-major as `stacked`
        return F.conv2d(stacked.contiguous(memory_format=torch.channels_last), kernel, self.bias, padding=1)


class Conv3D(nn.ModuleList):
    """The paper's Conv3D: temporal convolutions with a leaky ReLU (0.2) between them, none at the end."""

    def __init__(self, c_in: int, c_out: int, depth: int, *, still: int = 0) -> None:
        """still: of the c_in channels, how many (the last) are seen in the frame itself only."""
        super().__init__(
            TemporalConv(c_in if i == 0 else c_out, c_out, still=0 if i else still) for i in range(depth)
        )

    def forward(self, x: Tensor, *, frames: int) -> Tensor:
        for i, conv in enumerate(self):
            x = conv(F.leaky_relu_(x, 0.2) if i else x, frames=frames)
        return x


class ResBlock(nn.Module):
    """x + conv(lrelu_0.1(conv(x))), He-normal weights scaled by 0.1 so that it starts near the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels, channels, bias=True)
        self.conv2 = conv3x3(channels, channels, bias=True)
        for conv in (self.conv1, self.conv2):
            nn.init.kaiming_normal_(conv.weight)
            with torch.no_grad():
                conv.weight.mul_(0.1)
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(F.leaky_relu_(self.conv1(x), 0.1))
        return y.to(x.dtype).add_(x)  # under autocast x stays as exact as it came


class Down(nn.Module):
    """3x3 convolution to c_out / 4 channels, then pixel-unshuffle by 2."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv = conv3x3(c_in, c_out // 4)

    def forward(self, x: Tensor) -> Tensor:
        y = F.pixel_unshuffle(self.conv(x), 2)
        return y.contiguous(memory_format=torch.channels_last)


class Up(nn.Module):
    """3x3 convolution, bilinear x2 (corners aligned), 3x3 convolution."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.reduce = conv3x3(c_in, c_out)
        self.refine = conv3x3(c_out, c_out, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        y = F.interpolate(self.reduce(x), scale_factor=2, mode="bilinear", align_corners=True)
        return self.refine(y)
