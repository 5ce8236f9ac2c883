"""Tiles that have been decoded, kept for the next window."""

from collections import OrderedDict

from datasets.slide_sampling import Pixels

_LARGEST_BYTES = 96 * 2**20


class TileCache:
    """Decoded tiles, the ones used last, up to a number of bytes."""

    def __init__(self) -> None:
        self._tiles: OrderedDict[tuple[int, int, int], Pixels] = OrderedDict()
        self._bytes = 0

    def get(self, key: tuple[int, int, int]) -> Pixels | None:
        """A tile by (level, row, column); None where it is not kept."""
        tile = self._tiles.get(key)
        if tile is not None:
            self._tiles.move_to_end(key)
        return tile

    def put(self, key: tuple[int, int, int], tile: Pixels) -> None:
        """Keep a tile that is not kept yet, and forget those used longest ago; the last one always stays."""
        self._tiles[key] = tile
        self._bytes += tile.nbytes
        while self._bytes > _LARGEST_BYTES and len(self._tiles) > 1:
            self._bytes -= self._tiles.popitem(last=False)[1].nbytes
