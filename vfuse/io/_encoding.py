"""How a video is encoded: container, codec, pixel format, quality, colour tags and time base."""

# pyright: basic

from __future__ import annotations

import os
from dataclasses import dataclass
from difflib import get_close_matches
from fractions import Fraction
from pathlib import Path

import av
import ffmpeg

from vfuse.errors import UsageError, did_you_mean
from vfuse.io.ffmpeg import complaint, encoders, pixel_formats

MUXERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".avi": "avi",
    ".nut": "nut",
}
# H.264 everywhere else: every player has it. In AVI demuxers guess a delay for it that is not there.
_DEFAULT_CODEC = {"webm": "libvpx-vp9", "avi": "mpeg4"}
_ALIASES = {
    "h264": "libx264",
    "x264": "libx264",
    "avc": "libx264",
    "h265": "libx265",
    "x265": "libx265",
    "hevc": "libx265",
    "vp8": "libvpx",
    "vp9": "libvpx-vp9",
    "av1": "libsvtav1",
    "prores": "prores_ks",
}
# Quality first, then the fastest preset that keeps files reasonable; `crf` is the default of `--crf`. libx264
# on 640x480 street video at crf 18, CPU time a frame and size: ultrafast 2.0 ms 100 %, superfast 3.7 ms 56 %,
# veryfast 6.5 ms 45 %.
_QUALITY: dict[str, dict[str, str]] = {
    "libx264": {"crf": "18", "preset": "superfast"},
    "libx264rgb": {"crf": "18", "preset": "superfast"},
    "libx265": {"crf": "20", "preset": "superfast", "x265-params": "log-level=error"},
    "libvpx": {"crf": "10", "b": "8M", "deadline": "realtime", "cpu-used": "6"},
    "libvpx-vp9": {"crf": "24", "b": "0", "deadline": "realtime", "cpu-used": "6", "row-mt": "1"},
    "libsvtav1": {"crf": "28", "preset": "9"},
    "libaom-av1": {"crf": "28", "cpu-used": "8", "usage": "realtime"},
    "mpeg4": {"q": "2"},
    "mjpeg": {"q": "2"},
}
_LOSSLESS = ("ffv1", "ffvhuff", "huffyuv", "utvideo", "magicyuv", "qtrle", "png", "libx264rgb", "rawvideo")
_RGB_FIRST = ("gbrp", "rgb24", "bgr24", "bgr0", "rgba")
_EVEN_FIRST = ("yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuv420p10le", "yuv422p10le", "nv12")
_ODD_FIRST = ("yuv444p", "yuvj444p", "yuv444p10le", "yuv420p")
_TAGGING = ("libx264", "libx265", "libvpx", "libvpx-vp9", "libsvtav1", "libaom-av1", "mpeg2video")
_HD_HEIGHT = 720  # of a picture without tags: BT.709 from here, BT.601 below, by every player's convention
_TICKS = 90_000  # per second, at least: finer than any camera's clock
_TICK_LIMIT = {"mpeg4": 65_535}  # MPEG-4 part 2 stores the time base in 16 bits


@dataclass(frozen=True)
class WriteOptions:
    """How to write.

    Attributes:
        codec: ffmpeg encoder or a common name (`h264`, `vp9`); None: by suffix.
        crf: constant rate factor, lower is better; None: the codec's default (18 for H.264).
        pix_fmt: ffmpeg pixel format; None: `yuv420p`, or `yuv444p` where width or height is odd, so that no
            column is lost, or RGB for lossless codecs. For images a format of more than 8 bits (`rgb48le`)
            asks for 16-bit files.
        encoder_opts: further ffmpeg encoder options, as (name, value).
        keep_audio: copy the sound too; subtitles, chapters and metadata are always copied.
        overwrite: replace an existing output.
    """

    codec: str | None = None
    crf: float | None = None
    pix_fmt: str | None = None
    encoder_opts: tuple[tuple[str, str], ...] = ()
    keep_audio: bool = True
    overwrite: bool = False


@dataclass(frozen=True)
class Encoding:
    """Everything ffmpeg must know about the picture.

    Attributes:
        muxer: ffmpeg's name of the container.
        codec: ffmpeg's name of the encoder.
        grey: whether the pixel format has brightness alone.
        deep: whether it keeps more than 8 bits, so that frames must travel with 16.
        time_base: seconds in a tick; frame times are rounded to it.
        constant_rate: whether the container only holds one frame per tick.
        arguments: output options for ffmpeg-python.
    """

    muxer: str
    codec: str
    grey: bool
    deep: bool
    time_base: Fraction
    constant_rate: bool
    arguments: dict[str, str]


def choose_encoding(out: Path, *, width: int, height: int, fps: Fraction, options: WriteOptions) -> Encoding:
    """Settle the encoding by suffix and options, and prove on one black frame that ffmpeg accepts it.

    Raises:
        UsageError: unknown suffix, encoder, pixel format or option, or a combination that ffmpeg refuses.
    """
    muxer = MUXERS.get(out.suffix.lower())
    if muxer is None:
        raise UsageError(
            f"unknown video suffix {out.suffix!r}", where=out, todo=f"Known: {', '.join(MUXERS)}"
        )
    codec = _codec(options.codec or _DEFAULT_CODEC.get(muxer, "libx264"))
    pix_fmt = _pixel_format(options.pix_fmt, codec, odd=bool(width % 2 or height % 2))
    base, constant = _time_base(fps, muxer, codec)
    settings = _quality(codec, options.crf) | dict(options.encoder_opts)
    # AVI cannot tag colours; where the codec cannot either, write what a reader will assume.
    tagged = muxer != "avi" or codec in _TAGGING or height >= _HD_HEIGHT
    matrix = "bt709" if tagged else "smpte170m"
    arguments = {
        "vf": _conversion(pix_fmt, matrix),
        "fps_mode": "passthrough",
        "enc_time_base": f"{base.numerator}/{base.denominator}",
        "c:v": codec,
        **_colour_tags(pix_fmt, matrix),
        **{f"{key}:v": value for key, value in settings.items()},
    }
    if muxer in ("avi", "nut"):
        arguments["bf:v"] = "0"  # these have no way to say that a frame is shown later than it is stored
    if codec == "libx265" and muxer in ("mp4", "mov"):
        arguments["tag:v"] = "hvc1"  # the tag that Apple's players accept
    encoding = Encoding(muxer, codec, _is_grey(pix_fmt), is_deep(pix_fmt), base, constant, arguments)
    _prove(encoding, out, width=width, height=height, fps=fps)
    return encoding


def is_deep(pix_fmt: str) -> bool:
    """Whether a pixel format keeps more than 8 bits.

    Raises:
        UsageError: there is no such format.
    """
    try:
        return av.VideoFormat(pix_fmt).components[0].bits > 8
    except ValueError as error:
        raise UsageError(
            f"unknown pixel format {pix_fmt!r}", todo="Try yuv420p, yuv420p10le or rgb48le"
        ) from error


def _codec(name: str) -> str:
    name = _ALIASES.get(name.lower(), name)
    if name not in encoders():
        close = get_close_matches(name, [*encoders(), *_ALIASES], n=3, cutoff=0.5)
        advice = f"Did you mean {' or '.join(close)}?" if close else "See: ffmpeg -encoders"
        raise UsageError(f"unknown codec {name!r}", todo=advice)
    return name


def _pixel_format(wanted: str | None, codec: str, *, odd: bool) -> str:
    known = pixel_formats(codec)
    if wanted is None:
        first = _RGB_FIRST if codec in _LOSSLESS else _ODD_FIRST if odd else _EVEN_FIRST
        return next((name for name in first if name in known), known[0] if known else first[0])
    if known and wanted not in known:
        meant = did_you_mean(wanted, known)
        raise UsageError(f"{codec} has no pixel format {wanted!r}", todo=f"{meant}Known: {', '.join(known)}")
    is_deep(wanted)
    return wanted


def _quality(codec: str, crf: float | None) -> dict[str, str]:
    settings = _QUALITY.get(codec, {})
    if crf is None:
        return settings
    if "crf" not in settings:
        raise UsageError(
            f"{codec} has no constant rate factor", todo="Leave --crf away, or use --encoder-opt"
        )
    highest = 51 if codec.startswith("libx26") else 63
    if not 0 <= crf <= highest:
        raise UsageError(f"--crf {crf:g} is outside 0 to {highest} of {codec}")
    return settings | {"crf": f"{crf:g}"}


def _time_base(fps: Fraction, muxer: str, codec: str) -> tuple[Fraction, bool]:
    if muxer == "avi" or codec in ("mpeg1video", "mpeg2video"):
        return 1 / fps, True
    limit = _TICK_LIMIT.get(codec)
    if limit is not None:
        return Fraction(1, fps.numerator * max(limit // fps.numerator, 1)), False
    return Fraction(1, fps.numerator * -(-_TICKS // fps.numerator)), False


def _conversion(pix_fmt: str, matrix: str) -> str:
    layout = av.VideoFormat(pix_fmt)
    if layout.is_rgb:
        return f"format={pix_fmt}"
    out = "pc" if _full_range(pix_fmt) else "tv"
    return f"scale=in_range=pc:out_color_matrix={matrix}:out_range={out},format={pix_fmt}"


def _is_grey(pix_fmt: str) -> bool:
    return len(av.VideoFormat(pix_fmt).components) == 1


def _full_range(pix_fmt: str) -> bool:
    return av.VideoFormat(pix_fmt).is_rgb or _is_grey(pix_fmt) or pix_fmt.startswith("yuvj")


def _colour_tags(pix_fmt: str, matrix: str) -> dict[str, str]:
    if av.VideoFormat(pix_fmt).is_rgb:
        return {"color_range": "pc"}
    return {
        "colorspace": matrix,
        "color_primaries": "bt709",
        "color_trc": "bt709",
        "color_range": "pc" if _full_range(pix_fmt) else "tv",
    }


def _prove(encoding: Encoding, out: Path, *, width: int, height: int, fps: Fraction) -> None:
    black = ffmpeg.input(f"color=black:size={width}x{height}:rate={fps}", format="lavfi")
    options = encoding.arguments | {"frames:v": "1"}
    del options["enc_time_base"]  # the test source counts in frames, which suits every codec
    said = complaint(ffmpeg.output(black, os.devnull, format=encoding.muxer, **options), where=out)
    if said is not None:
        raise UsageError(
            f"{encoding.codec} cannot encode {width}x{height} into {out.suffix}: {said}",
            where=out,
            todo="Check --codec, --pix-fmt and --encoder-opt",
        )
