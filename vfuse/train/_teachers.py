# pyright: basic
"""Teachers of TemCoCo's features: VGG19 up to relu3_1, and the patch tokens of DINOv2 ViT-L/14.

VGG19: Simonyan and Zisserman, ICLR 2015, the ImageNet weights of torchvision. DINOv2: Oquab et al., TMLR
2024, ViT-L/14 without registers. Both standard checkpoints load strictly, every name and shape. The pictures
go in as they are, in [0, 1] without normalisation, because the published student was taught so.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vfuse.checkpoints import require
from vfuse.models._convert import read_checkpoint
from vfuse.models._load import check_state


class Vgg19(nn.Module):
    """torchvision's VGG19, of which only the layers up to relu3_1 run."""

    WIDTHS = ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4)
    RELU3_1 = 12  # layers of `features` up to and with it

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for block in self.WIDTHS:
            for width in block:
                layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
                before = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(4096, 1000),
        )

    def forward(self, frames: Tensor) -> Tensor:
        """(N, 3, H, W) RGB in [0, 1] to (N, 256, H / 4, W / 4)."""
        return self.features[: self.RELU3_1](frames)


class Attention(nn.Module):
    """Multi-head self-attention over tokens."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class LayerScale(nn.Module):
    """A learned factor for each channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), 1e-5))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class Block(nn.Module):
    """Pre-norm attention and MLP, each scaled and residual."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.ls1, self.ls2 = LayerScale(width), LayerScale(width)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x)))))


class PatchEmbed(nn.Module):
    """A linear map of each patch."""

    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, stride=patch)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x)


class DinoV2(nn.Module):
    """DINOv2's vision transformer; the defaults are ViT-L/14, trained at 518 pixels."""

    def __init__(
        self, *, width: int = 1024, depth: int = 24, heads: int = 16, patch: int = 14, grid: int = 37
    ) -> None:
        super().__init__()
        self.patch, self.grid = patch, grid
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, grid * grid + 1, width))
        self.mask_token = nn.Parameter(torch.zeros(1, width))  # unused here, part of the checkpoint
        self.patch_embed = PatchEmbed(width, patch)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, frames: Tensor) -> Tensor:
        """Normalised patch tokens: (N, 3, H, W) RGB in [0, 1] to (N, width, H // 16, W // 16).

        The frames are first resized, bilinearly, to one patch for every 16 x 16 pixels.
        """
        rows, columns = (size // 16 for size in frames.shape[-2:])
        size = (self.patch * rows, self.patch * columns)
        x = self.patch_embed(F.interpolate(frames, size=size, mode="bilinear", align_corners=False))
        x = x.flatten(2).transpose(1, 2) + self._positions(rows, columns)
        x = torch.cat([(self.cls_token + self.pos_embed[:, :1]).expand(len(x), -1, -1), x], dim=1)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)[:, 1:].transpose(1, 2).unflatten(2, (rows, columns))

    def _positions(self, rows: int, columns: int) -> Tensor:
        """Position codes resampled to a grid, (1, rows * columns, width)."""
        codes = self.pos_embed[:, 1:]
        if (rows, columns) == (self.grid, self.grid):
            return codes
        plane = codes.transpose(1, 2).unflatten(2, (self.grid, self.grid))
        # A tenth of a cell more, as at DINOv2's release: its scale factors are then never a hair too small.
        factors = ((rows + 0.1) / self.grid, (columns + 0.1) / self.grid)
        return F.interpolate(plane, scale_factor=factors, mode="bicubic").flatten(2).transpose(1, 2)


def load_teacher(teacher: nn.Module, state: Mapping[str, Tensor], *, where: Path) -> nn.Module:
    """Fill a teacher from its standard checkpoint, strictly, and freeze it.

    Raises:
        WeightsError: names or shapes differ; lists them.
    """
    check_state(state, teacher, where=where, model=type(teacher).__name__)
    teacher.load_state_dict(state, strict=True, assign=True)
    return teacher.eval().requires_grad_(False)


def vgg19() -> nn.Module:
    """VGG19 from the user's checkpoint; raises WeightsError without one."""
    return _from_file(Vgg19, "vgg19")


def dinov2() -> nn.Module:
    """DINOv2 ViT-L/14 from the user's checkpoint; raises WeightsError without one."""
    return _from_file(DinoV2, "dinov2")


def _from_file(kind: type[nn.Module], name: str) -> nn.Module:
    path = require(name)
    with torch.device("meta"):  # the checkpoint brings the memory
        teacher = kind()
    return load_teacher(teacher, read_checkpoint(path), where=path)
