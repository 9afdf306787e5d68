"""A running super-peer for whoever asks for one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.superpeers import Site, serving


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """A fresh super-peer with its default settings, whose clock stands still."""
    async with serving(tmp_path / "data") as served:
        yield served
