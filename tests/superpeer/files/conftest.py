"""An empty index for whoever asks for one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.libraries import Library, library


@pytest.fixture
async def books(tmp_path: Path) -> AsyncIterator[Library]:
    """An index that nothing has been announced to."""
    async with library(tmp_path) as made:
        yield made
