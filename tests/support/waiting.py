"""Waiting for something to become true, without guessing how long it takes."""

import asyncio
from collections.abc import Callable

PATIENCE = 30.0  # seconds until a test fails instead of hanging


async def until(condition: Callable[[], object]) -> None:
    """Returns once `condition()` holds. Raises TimeoutError when it never does."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.001)
