"""The sizes of a VideoFusion network, and those of the small one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Config:
    """The sizes of a VideoFusion network; the defaults are the published ones.

    Attributes:
        channels: width at full, half and quarter scale.
        heads: attention heads at each scale.
        conv3d: 3-D convolutions per modality at each scale; 0 leaves the scale to its 2-D layers.
        res_blocks: residual blocks per modality at each scale.
        fuse: whether CMGF fuses a scale by attention; otherwise the two features are added.
        enhance: self-attention blocks after CMGF at full and half scale.
        bicam: co-attention blocks at each scale.
        decoder_blocks: self-attention blocks in each decoder.
        residual: read detail and mean folded into channels (`_stem`), and predict corrections to the inputs
            and a blending weight instead of the images themselves.
        precise: keep the features between blocks in float32 whatever the precision of the products, and
            compute CmDRM and CMGF in float32: their errors reach all outputs through attention maps.
        unshuffle: factor of the folding in a residual network; "full scale" is then 1/unshuffle.
        sharpen: a residual network also reads, and weighs pixel by pixel, what an inverse of blur would bring
            back (`_sharpen`).
    """

    channels: tuple[int, int, int] = (32, 64, 128)
    heads: tuple[int, int, int] = (2, 4, 8)
    conv3d: tuple[int, int, int] = (2, 2, 2)
    res_blocks: tuple[int, int, int] = (0, 4, 4)
    fuse: tuple[bool, bool, bool] = (True, True, True)
    enhance: tuple[int, int] = (2, 2)
    bicam: tuple[int, int, int] = (2, 2, 4)
    decoder_blocks: int = 2
    precise: bool = True
    unshuffle: int = 1
    residual: bool = False
    sharpen: bool = False

    @property
    def multiple_of(self) -> int:
        """H and W are padded to a multiple of this."""
        return 4 * self.unshuffle


SMALL = Config(
    channels=(64, 64, 96),
    heads=(4, 4, 6),
    conv3d=(1, 0, 1),
    res_blocks=(1, 1, 1),
    fuse=(False, True, True),
    enhance=(0, 1),
    bicam=(0, 1, 2),
    decoder_blocks=0,
    precise=False,
    unshuffle=4,
    residual=True,
    sharpen=True,
)
