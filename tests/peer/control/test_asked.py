"""What `peer get` is asked for: lists as sha256sum prints them, and the folders of a peer."""

from dataclasses import dataclass

import pytest

from common.wire.files import SharedFile
from common.wire.peers import Peer
from peer.control import asked
from peer.control.asked import below, is_below, named_in
from peer.control.exits import Exit, Stop
from tests.peer.control.conftest import WHEN

ID, OTHER = "ab" * 32, "cd" * 32


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"{ID}\n{OTHER}", [(ID, ""), (OTHER, "")]),
        (f"{ID}  a b.txt\r\n{OTHER} *sub/c.bin\n", [(ID, "a b.txt"), (OTHER, "sub/c.bin")]),
        (f"# mine\n\n{ID.upper()}\n", [(ID, "")]),
        (f"\\{ID}  new\\nline \\\\n\n", [(ID, "new\nline \\n")]),
        (f"{ID}   leading space", [(ID, " leading space")]),
    ],
)
def test_a_list_is_read_as_it_is_written(text: str, found: list[tuple[str, str]]) -> None:
    assert list(named_in(text, "list")) == found


@pytest.mark.parametrize("text", ["", "\n# nothing\n", f"{ID}\nnonsense", f"x{ID}", ID[:-1], f"{ID}0"])
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(Stop) as refused:
        list(named_in(text, "list"))
    assert refused.value.exit_code is Exit.USAGE
    assert "list" in refused.value.detail


def test_a_list_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "MOST", 2)
    assert len(list(named_in(f"{ID}\n" * 2, "list"))) == 2
    with pytest.raises(Stop) as refused:
        list(named_in(f"{ID}\n" * 3, "list"))
    assert refused.value.code == "too_many_downloads"


@pytest.mark.parametrize(
    ("path", "wanted", "saved"),
    [
        ("Music/Strauss/cd1/a.flac", "Music/Strauss", "Strauss/cd1/a.flac"),
        ("Music/Strauss/cd1/a.flac", "Music", "Music/Strauss/cd1/a.flac"),
        ("Music/a.flac", "Music/a.flac", "a.flac"),
        ("Music/a.flac", "", "Music/a.flac"),
    ],
)
def test_the_structure_is_kept_from_the_folder_that_was_named(path: str, wanted: str, saved: str) -> None:
    assert below(path, wanted) == saved


def shared(path: str, file_id: str = ID, size: int = 1) -> SharedFile:
    return SharedFile(file_id, path.rpartition("/")[2], size, file_id, "other", [], WHEN, 0, True, path)


def test_what_a_peer_lists_beside_the_folder_is_not_taken() -> None:
    assert is_below(shared("Music/Strauss/a"), "Music/Strauss")
    assert is_below(shared("Music/a"), "")
    assert not is_below(shared("Music/Strauss 2/a"), "Music/Strauss")
    assert not is_below(shared("elsewhere/a"), "Music")
    assert not is_below(shared(""), "")
    assert not is_below(shared("Music/a", file_id="../x"), "Music")
    assert not is_below(shared("Music/a", size=-1), "Music")


@dataclass
class Known:
    """Peers of a network."""

    peers: list[Peer]

    def called(self, who: str) -> Peer:
        return asked._peer_called(who, self.peers)


def known(name: str, peer_id: str, *, is_online: bool = True, direct: bool = True) -> Peer:
    return Peer(peer_id, name, "127.0.0.1", 1, WHEN, is_online, 50, 0, 0, "", True, "1", direct)


def test_a_peer_is_meant_by_id_by_name_or_by_how_its_id_begins() -> None:
    study, attic = known("Study", "abcdefgh"), known("attic", "abcdefxy")
    network = Known([study, attic, known("study", "gone", is_online=False)])
    assert network.called("abcdefgh") is study
    assert network.called("study") is study  # the one that is here
    assert network.called("abcdefx") is attic


@pytest.mark.parametrize(
    ("who", "exit_code"),
    [
        ("nobody", Exit.NOT_FOUND),
        ("abcde", Exit.NOT_FOUND),  # too short for the beginning of an id
        ("abcdef", Exit.USAGE),  # of two
        ("away", Exit.NO_SOURCE),
        ("walled", Exit.FAILED),
    ],
)
def test_a_peer_that_cannot_be_asked_is_told_apart(who: str, exit_code: Exit) -> None:
    peers = [known("Study", "abcdefgh"), known("attic", "abcdefxy")]
    peers += [known("away", "a", is_online=False), known("walled", "b", direct=False)]
    with pytest.raises(Stop) as refused:
        Known(peers).called(who)
    assert refused.value.exit_code is exit_code
