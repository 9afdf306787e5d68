"""What a super-peer tells the person who started it in a terminal: where its pages are, for them and for others."""

import io
import sys
from pathlib import Path

import pytest

from common.http.addresses import Profile, canonical, is_forbidden
from superpeer.dashboard import whereabouts as module
from superpeer.dashboard.whereabouts import own_address, whereabouts
from tests.support.superpeers import serving


class Terminal(io.StringIO):
    """What a person looks at."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stderr", "said"), [(Terminal(), "Dashboard: http://127.0.0.1:{}/\n"), (io.StringIO(), "")])
async def test_it_tells_a_terminal_and_nothing_else(
    stderr: io.StringIO, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as watched:
        watched.setattr(sys, "stderr", stderr)
        async with serving(tmp_path) as site:
            assert stderr.getvalue() == said.format(site.port)


@pytest.mark.parametrize("everywhere", ["0.0.0.0", "::"])
def test_others_are_told_an_address_of_this_machine(everywhere: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "own_address", lambda profile: "192.168.1.5")
    told = whereabouts(everywhere, 8080, Profile.LAN)
    assert told == "Dashboard: http://127.0.0.1:8080/ (for others: http://192.168.1.5:8080/)"


def test_a_machine_without_a_network_tells_its_own_address_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEYOND", ())
    assert whereabouts("0.0.0.0", 8080, Profile.LAN) == "Dashboard: http://127.0.0.1:8080/"


@pytest.mark.parametrize("address", ["192.168.1.5", "fd00::5"])
def test_one_address_that_is_listened_on_is_everybodys(address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    assert whereabouts(address, 8080, Profile.LAN) == f"Dashboard: http://{host}:8080/"


@pytest.mark.parametrize("target", ["127.0.0.1", "192.0.2.1"])
def test_nobody_is_told_an_address_that_would_not_be_served(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEYOND", (target,))
    found = own_address(Profile.LAN)
    assert not found or not (canonical(found).is_loopback or is_forbidden(canonical(found), Profile.LAN))
