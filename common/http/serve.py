"""From an application to a listening daemon, and back: sockets, signals, a clean end.

Guarantees: whatever keeps a daemon from starting is told in one line (StartError); SIGTERM and SIGINT end it in order
within ten seconds, a second one at once.
"""

import asyncio
import errno
import gc
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from typing import Protocol

from aiohttp import web

from common.http.addresses import url_host
from common.http.connection import ConnectionLimits, Runner
from common.runtime.obstacles import StartError

log = logging.getLogger("shoal.daemon")

BACKLOG = 1024
# A request makes and drops some hundred objects, hardly any of them in a cycle: looking every 700 finds nothing.
COLLECT_AFTER = (20_000, 10, 10)


ANY = "::"  # every interface, both kinds of addresses

# Seconds after the call to stop by which its steps have ended: nothing more is taken, requests are done, all is closed.
STOP_MARKS = (3.0, 6.5, 9.5)
LAST_RESORT = 9.8


class Daemon(Protocol):
    """What is run: opened before it listens, closed after it has stopped listening."""

    app: web.Application
    limits: ConnectionLimits

    async def open(self) -> None:
        """Opens what requests need."""

    async def listening(self, address: str, port: int) -> None:
        """Requests are answered from now on."""

    async def stopping(self) -> None:
        """No more requests: end what would hold connections open."""

    async def close(self) -> None:
        """Closes all that `open` opened."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; on `::` for IPv4 as well, and for IPv4 alone where there is no IPv6. Raises StartError."""
    if host == ANY and not _has_ipv6():
        host = "0.0.0.0"
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise StartError(f"cannot listen on {host}: {getattr(error, 'strerror', None) or error}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise StartError(_why_not(host, port, error)) from error
    listener.setblocking(False)
    return listener


def _has_ipv6() -> bool:
    """Whether a socket can be bound to an IPv6 address: a kernel may know them and be told not to use them."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind((ANY, 0))
    except OSError:
        return False
    return True


def _why_not(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host or 'this machine'} is in use by another program; choose another with --port"
    if error.errno == errno.EACCES:
        return f"port {port} may not be used by this account; choose one above 1023 with --port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine; choose one that is with --host"
    return f"cannot listen on {host} port {port}: {error.strerror}"


class Running:
    """A daemon that answers; `port` is the one it got (0 asks for any free one)."""

    def __init__(self, daemon: Daemon, runner: Runner, address: str, port: int) -> None:
        self._daemon = daemon
        self._runner = runner
        self.address = address
        self.port = port
        self.url = f"http://{url_host(address)}:{port}"

    async def stop(self) -> None:
        """Ends in order: no new requests, the present ones finish, then everything closes."""
        began = asyncio.get_running_loop().time()
        steps = (self._daemon.stopping, self._runner.cleanup, self._daemon.close)
        for step, mark in zip(steps, STOP_MARKS, strict=True):
            await _step(step, began + mark)


async def _step(step: Callable[[], Awaitable[None]], deadline: float) -> None:
    """One step of the end; that it fails must not keep the others from happening."""
    try:
        async with asyncio.timeout_at(deadline):
            await step()
    except Exception:
        log.exception("a step of the shutdown failed")


async def start(daemon: Daemon, host: str, port: int) -> Running:
    """Binds first, so that two daemons never open one another's data, then opens and serves."""
    listener = listen(host, port)
    try:
        await daemon.open()
    except BaseException:
        listener.close()
        await daemon.close()
        raise
    runner = Runner(daemon.app, daemon.limits)
    address, bound = listener.getsockname()[:2]
    running = Running(daemon, runner, address, bound)
    try:
        await runner.setup()
        await web.SockSite(runner, listener, backlog=BACKLOG).start()
        await daemon.listening(address, bound)
        _settle_memory()
    except BaseException:
        listener.close()
        await running.stop()
        raise
    return running


def _settle_memory() -> None:
    """What was made for the start stays: the collector need not look at it again at every turn."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


async def run(daemon: Daemon, host: str, port: int) -> None:
    """Serves until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    starting = asyncio.create_task(start(daemon, host, port), name="start")

    def stop(number: int) -> None:
        if told.is_set():
            os._exit(128 + number)
        told.set()
        starting.cancel()
        loop.call_later(LAST_RESORT, _give_up)

    # Before the start, which may take its time and tells the world when it is done.
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    try:
        running = await starting
    except asyncio.CancelledError:
        if not told.is_set():
            raise
        log.info("stopped while starting")
        return
    try:
        await told.wait()
        log.info("stopping")
    finally:
        await running.stop()


def _give_up() -> None:
    """For what outlasts every step of the end: a task that will not be cancelled, a thread that is not done."""
    log.critical("something did not end in time and is cut off")
    os._exit(1)
