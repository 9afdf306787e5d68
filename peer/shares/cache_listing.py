"""The cache as its owner sees it."""

from collections.abc import Sequence

from common.content.names import display_path
from common.runtime.clock import utc
from common.wire.cache import Cache, CachedFile
from peer.shares.cache_store import Cached


def listed(files: Sequence[Cached], limit: int, cap: int) -> Cache:
    """The first `limit` of the files, and the sums of all."""
    shown = [
        CachedFile(file.file_id, display_path(file.name), file.size, utc(file.since), utc(file.used_at))
        for file in files[:limit]
    ]
    return Cache(shown, len(files), sum(file.size for file in files), cap)
