"""Compression of a page that is sent again with few changes."""

import gzip

from exporter.serving.compression import Gzip


def test_only_the_blocks_that_changed_are_compressed_again():
    compressor, page = Gzip(), bytearray(range(250)) * 1_000  # four blocks, the last one not full
    first = compressor.compress(bytes(page))
    page[100_000] += 1
    second = compressor.compress(bytes(page))
    assert gzip.decompress(b"".join(second)) == page
    blocks = list(zip(first, second, strict=True))[1:-2]  # without the header, the end and the checksum
    assert [one is other for one, other in blocks] == [True, False, True, True]
