"""Compression of a page that is sent repeatedly with few changes."""

import struct
import zlib
from collections.abc import Iterator

_BLOCK = 65_536
_LEVEL = 6  # zlib's default
# RFC 1952: the magic number and the method deflate; no flags, time or name; an unknown operating system.
_HEADER = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
_END = b"\x03\x00"  # an empty block that is marked as the last one


class Gzip:
    """Compressor of one page that reuses the blocks that did not change since the last call."""

    def __init__(self) -> None:
        self._blocks: list[tuple[bytes, bytes]] = []

    def compress(self, body: bytes) -> tuple[bytes, ...]:
        """Return the body as the parts of one gzip member; unchanged blocks are the same objects."""
        self._blocks = list(self._compressed(body))
        trailer = struct.pack("<LL", zlib.crc32(body), len(body) % 2**32)
        return (_HEADER, *(compressed for _, compressed in self._blocks), _END, trailer)

    def _compressed(self, body: bytes) -> Iterator[tuple[bytes, bytes]]:
        for number, start in enumerate(range(0, len(body), _BLOCK)):
            block = body[start : start + _BLOCK]
            before = self._blocks[number : number + 1]
            if before and before[0][0] == block:
                yield before[0]
            else:
                yield block, _deflate(block)


def _deflate(block: bytes) -> bytes:
    """Compress one block so that it ends at a byte boundary and refers to no earlier block."""
    # Negative window bits: raw deflate, as the blocks share one gzip header.
    deflater = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflater.compress(block) + deflater.flush(zlib.Z_FULL_FLUSH)
