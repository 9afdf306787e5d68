"""The way to peers that cannot be dialled, and around what an asker cannot reach: bytes through the super-peer."""
