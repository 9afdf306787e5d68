import re
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from common.wire import events, files, peer_daemon, peers
from common.wire.files import MAX_ENTRIES, CatalogueDelta, Entry, FileRegistration
from common.wire.peers import HeartbeatRequest, RegisterRequest
from common.wire.scalars import MAX_INT

HASH = "0" * 64
ENTRY = {"path": "a/b.txt", "id": HASH, "size": 1}
KINDS = [
    kind
    for module in (events, files, peer_daemon, peers)
    for kind in vars(module).values()
    if isinstance(kind, msgspec.StructMeta) and kind.__module__ == module.__name__
]


@pytest.mark.parametrize("kind", KINDS)
def test_messages_cannot_be_changed_and_speak_snake_case(kind: type[msgspec.Struct]) -> None:
    assert kind.__struct_config__.frozen
    assert not kind.__struct_config__.forbid_unknown_fields
    assert kind.__struct_encode_fields__ == kind.__struct_fields__
    assert all(re.fullmatch("[a-z][a-z_]*", name) for name in kind.__struct_fields__)
    assert kind.__doc__


def test_unknown_keys_are_ignored() -> None:
    assert msgspec.convert({**ENTRY, "later": {"deep": 1}}, Entry) == Entry("a/b.txt", HASH, 1)
    assert msgspec.convert({"later": 1}, HeartbeatRequest) == HeartbeatRequest()


@pytest.mark.parametrize(
    "change",
    [
        {"path": ""},
        {"path": "a" * 4097},
        {"path": None},
        {"id": HASH.upper()[:-1] + "A"},
        {"id": HASH + "0"},
        {"id": HASH + "\n"},
        {"id": ""},
        {"size": -1},
        {"size": MAX_INT + 1},
        {"size": "1"},
        {"size": 1.0},
        {"size": True},
        {"size": None},
        {"modified": "yesterday"},
        {"modified": 1_700_000_000},
        {"mime": "x" * 128},
        {"category": "x" * 65},
        {"tags": "word"},
        {"tags": ["x" * 65]},
        {"tags": ["x"] * 65},
        {"tags": [1]},
        {"manifest": "short"},
        {"audience": None},
    ],
)
def test_an_entry_out_of_bounds_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError, match=next(iter(change))):
        msgspec.convert(ENTRY | change, Entry)


@pytest.mark.parametrize("text", ["2023-11-14T22:13:20Z", "2023-11-14T23:13:20+01:00", "2023-11-14T22:13:20.000Z"])
def test_a_time_is_read_wherever_it_was_told(text: str) -> None:
    moment = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert msgspec.convert(ENTRY | {"modified": text}, Entry).modified == moment
    registration = {"filename": "a", "hash": HASH, "size": 1, "modified": text}
    assert msgspec.convert(registration, FileRegistration).modified == moment


def test_a_time_leaves_in_utc_with_z() -> None:
    event = events.Event("stats_update", None, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC))
    assert b'"2023-11-14T22:13:20Z"' in msgspec.json.encode(event)


def test_a_delta_has_a_thousand_entries_at_most() -> None:
    delta: dict[str, Any] = {"catalogue_id": "c", "base_version": 0}
    assert len(msgspec.convert({**delta, "add": [ENTRY] * MAX_ENTRIES}, CatalogueDelta).add) == MAX_ENTRIES
    for key, value in (("add", ENTRY), ("remove", "path")):
        with pytest.raises(msgspec.ValidationError, match=key):
            msgspec.convert({**delta, key: [value] * (MAX_ENTRIES + 1)}, CatalogueDelta)


@pytest.mark.parametrize("port", [0, -1, 65536, "9001", 1.5, None])
def test_a_port_is_a_port(port: Any) -> None:
    with pytest.raises(msgspec.ValidationError, match="port"):
        msgspec.convert({"port": port}, RegisterRequest)


@pytest.mark.parametrize("name", ["public_key", "nonce", "signature"])
@pytest.mark.parametrize("text", ["not base64!", "é", "a b", "a\n", "x" * 129])
def test_keys_and_signatures_are_base64(name: str, text: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=name):
        msgspec.convert({"port": 9001, name: text}, RegisterRequest)
