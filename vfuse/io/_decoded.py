"""Frames out of a container, with the checksums verified that the decoder only grumbles about."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

# RFC 9043, 4.9: a slice ends with its size in 3 bytes, a status byte and the CRC of all of it.
_FOOTER, _STATUS_VALUES = 8, 3
_MIRRORED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


def decoded(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Every frame in order of display.

    FFmpeg replaces a damaged slice of FFV1 by that of the frame before and says nothing; here it is an error.

    Raises:
        OSError: while iterating, where the frame of a damaged packet would come.
        FFmpegError: while iterating, for what the decoder itself finds.
    """
    if stream.codec_context.name != "ffv1":
        yield from container.decode(stream)
        return
    damaged: set[int | None] = set()
    for packet in container.demux(stream):
        if packet.size and not slices_intact(bytes(packet)):
            damaged.add(packet.pts)
        for frame in packet.decode():
            if frame.pts in damaged:
                raise OSError("the checksum of a slice is wrong")
            yield frame


def slices_intact(packet: bytes) -> bool:
    """Whether all slices of an FFV1 packet have the right checksums, or none have any."""
    end = len(packet)
    slices: list[bytes] = []
    while end > 0:
        begin = end - _FOOTER - int.from_bytes(packet[max(end - 8, 0) : max(end - 5, 0)])
        if begin < 0 or packet[end - 5] >= _STATUS_VALUES:
            return True  # written without checksums
        slices.append(packet[begin:end])
        end = begin
    # FFV1's CRC begins with 0 and takes the highest bit first; zlib's is its mirror image.
    return all(zlib.crc32(part.translate(_MIRRORED), 0xFFFFFFFF) == 0xFFFFFFFF for part in slices)
