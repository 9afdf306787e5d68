"""What concerns the wire itself is tested on both loops: a peer runs on the standard one, a super-peer on uvloop."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

ON_BOTH_LOOPS = {"test_application", "test_connection", "test_hub"}


def pytest_asyncio_loop_factories(item: pytest.Function) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    standard = {"asyncio": asyncio.new_event_loop}
    module = item.module.__name__.rpartition(".")[2]
    return standard | {"uvloop": uvloop.new_event_loop} if module in ON_BOTH_LOOPS else standard
