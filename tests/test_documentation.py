"""The documents tell what the code does: every setting, endpoint, event, error code and metric is there, nothing else
is, every command parses and every link leads somewhere."""

import argparse
import ast
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from common import errors
from common.http import problem
from common.runtime.config import Config, PeerSettings, SuperPeerSettings
from common.runtime.kinds import Written
from common.runtime.settings import settings_known
from peer.app import Peer
from peer.control.arguments import parser as peer_parser
from superpeer.__main__ import parser as super_peer_parser
from superpeer.app import SuperPeer
from tests.support.documents import (
    ROOT,
    anchors,
    blocks,
    commands,
    documents,
    links,
    prose,
    read,
    rows,
    section,
    shell_commands,
    spans,
)

OPERATIONS = read("docs/operations.md")
ENDPOINTS = read("docs/protocol/endpoints.md")
ERRORS = read("docs/protocol/errors.md")
EVENTS = read("docs/protocol/events.md")

Client = Callable[[web.Application], Awaitable[TestClient[Any, Any]]]
Route = tuple[str, str]


def names(of: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in of]


# Settings


def documented_settings() -> dict[str, str]:
    """Each key with the default as it is written."""
    found = (row for row in rows(section(OPERATIONS, "Configuration")) if len(row) == 3)
    return {spans(row[0])[0]: "".join(spans(row[1])) for row in found}


def test_operations_names_every_setting_and_no_other() -> None:
    assert sorted(documented_settings()) == sorted(settings_known())


@pytest.mark.parametrize("key", settings_known())
def test_a_documented_default_is_the_default(key: str) -> None:
    where, _, name = key.partition(".")
    written = Written(documented_settings()[key], "the documents")
    assert settings_known()[key].value(key, written) == getattr(getattr(Config(), where), name)


# Endpoints


def make_super_peer(tmp_path: Path) -> web.Application:
    return SuperPeer(Config(super_peer=SuperPeerSettings(data=str(tmp_path)))).app


def make_peer(tmp_path: Path) -> web.Application:
    return Peer(Config(peer=PeerSettings(data=str(tmp_path))), tmp_path).app


DAEMONS = pytest.mark.parametrize(("title", "make"), [("Super-peer", make_super_peer), ("Peer", make_peer)])


def documented_routes(title: str) -> dict[Route, str]:
    """Who may call each method and path."""
    return {(row[0], spans(row[1])[0]): row[2] for row in rows(section(ENDPOINTS, title))}


def routes_of(app: web.Application) -> set[Route]:
    found = ((route.method, route.resource) for route in app.router.routes())
    return {(method, resource.canonical) for method, resource in found if resource and method != "HEAD"}


@DAEMONS
def test_endpoints_lists_every_route_of_a_daemon_and_no_other(
    title: str, make: Callable[[Path], web.Application], tmp_path: Path
) -> None:
    assert set(documented_routes(title)) == routes_of(make(tmp_path))


@DAEMONS
async def test_endpoints_says_who_may_call_as_the_daemon_does(
    title: str, make: Callable[[Path], web.Application], tmp_path: Path, aiohttp_client: Client
) -> None:
    client = await aiohttp_client(make(tmp_path))
    described = await (await client.get("/api/v1/openapi.json")).json()
    who = documented_routes(title)
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            assert who[method.upper(), path] == access_of(operation.get("description", "")), (method, path)


def access_of(description: str) -> str:
    return next((word for word in ("owner", "peer") if f" {word}" in description), "anyone")


def test_paths_that_other_documents_mention_exist() -> None:
    known = {path for title in ("Super-peer", "Peer") for _, path in documented_routes(title)}
    for document in documents():
        for path in re.findall(r"`(?:GET|POST|PATCH|DELETE) (/[^`?]+)", prose(read(document))):
            assert path in known, (document, path)


# Errors


def test_errors_lists_every_code_in_order_and_no_other() -> None:
    assert [spans(row[0])[0] for row in rows(ERRORS)] == sorted(errors.CODES)


def test_errors_tells_the_status_of_every_code_as_it_is_raised() -> None:
    told = {spans(row[0])[0]: set(map(int, re.findall(r"\d{3}", row[1]))) for row in rows(ERRORS)}
    for code, status in statuses_raised():
        assert not told[code] or status in told[code], (code, status)


def statuses_raised() -> Iterator[tuple[str, int]]:
    """(code, status) of every refusal in the code."""
    for call in calls_in("common", "superpeer", "peer"):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        family = getattr(errors, name, None)
        if isinstance(family, type) and issubclass(family, errors.Refusal) and family is not errors.Refusal:
            for code in constants_in(call.args[0]) & errors.CODES.keys():
                yield code, problem.BY_CODE.get(code) or problem.STATUS[family]


def calls_in(*packages: str) -> Iterator[ast.Call]:
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield from (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call))


def constants_in(node: ast.AST) -> set[str]:
    values = (inner.value for inner in ast.walk(node) if isinstance(inner, ast.Constant))
    return {value for value in values if isinstance(value, str)}


@pytest.mark.parametrize("document", names(documents()))
def test_error_codes_in_code_spans_are_codes(document: str) -> None:
    """A word after a status, as in 409 `replay`, is a code."""
    for code in re.findall(r"\b[45]\d\d `([a-z_]+)`", prose(read(document))):
        assert code in errors.CODES, code


# Events


def event_types(package: str) -> set[str]:
    """What a daemon puts on its hub: the constants among the types that it publishes, or compares and passes on."""
    found: set[str] = set()
    for call in calls_in(package):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        at = {"publish": 1, "frame": 0}.get(name)
        if at is not None and len(call.args) > at:
            found |= constants_in(call.args[at])
    return found | passed_on(package)


def passed_on(package: str) -> set[str]:
    """Types of which only some are published: `kind in (…)`; and those that a library tells its daemon."""
    text = "\n".join(path.read_text("utf-8") for path in sorted((ROOT / package).rglob("*.py")))
    compared = {word for some in re.findall(r"\bkind in \(([^)]*)\)", text) for word in re.findall(r'"(\w+)"', some)}
    return compared | set(re.findall(r'"(file_(?:added|removed|shared|unshared|damaged))"', text))


@pytest.mark.parametrize(("title", "package"), [("Super-peer", "superpeer"), ("Peer", "peer")])
def test_events_lists_every_type_that_a_daemon_publishes_and_no_other(title: str, package: str) -> None:
    documented = {spans(row[0])[0] for row in rows(section(EVENTS, title))}
    assert documented == event_types(package)


# Metrics


@pytest.mark.parametrize("package", ["superpeer", "peer"])
def test_operations_names_every_metric_and_no_other(package: str) -> None:
    told = re.findall(rf"`shoal_{package}_(\w+)`", section(OPERATIONS, "Metrics"))
    tree = ast.parse((ROOT / package / "app.py").read_text("utf-8"))
    yields = [node.value for node in ast.walk(tree) if isinstance(node, ast.Yield)]
    read_out = [node.elts[0] for node in yields if isinstance(node, ast.Tuple)]
    constant = {node.value for node in read_out if isinstance(node, ast.Constant)}
    assert {name for name in told if "NAME" not in name} == constant


# Commands


def own_commands(script: Iterator[list[str]]) -> Iterator[tuple[argparse.ArgumentParser, list[str]]]:
    parsers = {"peer": peer_parser, "superpeer": super_peer_parser}
    for command in script:
        for at, word in enumerate(command):
            made = parsers.get(word.rpartition("/")[2])
            if made is not None and (at == 0 or command[0] in ("watch", "sudo", "-u")):
                yield made(), command[at + 1 :]
                break


@pytest.mark.parametrize("document", names(documents()))
def test_every_command_line_in_a_document_is_one(document: str) -> None:
    for parser, arguments in own_commands(commands(read(document))):
        if arguments == ["--version"]:
            continue
        try:
            parser.parse_args(arguments)
        except SystemExit:
            pytest.fail(f"{parser.prog} {' '.join(arguments)}")


@pytest.mark.parametrize("unit", names(sorted((ROOT / "deploy").glob("*.service"))))
def test_a_unit_starts_a_daemon_as_its_command_line_allows(unit: str) -> None:
    starts = re.findall(r"^ExecStart=(.+)$", read(unit), re.MULTILINE)
    for parser, arguments in own_commands(shell_commands("\n".join(starts))):
        parser.parse_args(arguments)
    assert len(starts) == 1


def test_a_command_that_is_none_would_be_seen() -> None:
    text = "```sh\ncd x && peer gett y | jq .\nsuperpeer --lan \\\n  --prot 1\n```"
    found = list(own_commands(commands(text)))
    assert [arguments for _, arguments in found] == [["gett", "y"], ["--lan", "--prot", "1"]]
    for parser, arguments in found:
        with pytest.raises(SystemExit):
            parser.parse_args(arguments)


@pytest.mark.parametrize("document", names(documents()))
def test_every_make_target_in_a_document_exists(document: str) -> None:
    targets = re.findall(r"^([\w./-]+):", read("Makefile"), re.MULTILINE)
    text = read(document)
    mentioned = [command[1] for command in commands(text) if command[0] == "make" and len(command) > 1]
    mentioned += re.findall(r"`make ([\w./-]+)", prose(text))
    assert set(mentioned) <= set(targets)


# Links and addresses


@pytest.mark.parametrize("document", names(documents()))
def test_relative_links_lead_somewhere(document: str) -> None:
    for target in links(read(document)):
        if urlsplit(target).scheme:
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / document).parent / path if path else ROOT / document
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(read(file)), target


WELL_KNOWN = {"keepachangelog.com", "semver.org", "localhost", "HOST"}
MACHINE_PATH = re.compile(r"(?<![\w.~$}])/(?:home|root|work|tmp|mnt|Users)/\w")


@pytest.mark.parametrize("document", [*names(documents()), *names(sorted((ROOT / "deploy").glob("*")))])
def test_no_document_names_a_path_of_some_machine_or_a_host_that_is_not_everybodys(document: str) -> None:
    text = read(document)
    assert not MACHINE_PATH.findall(text)
    for host in re.findall(r"\bhttps?://([\w.-]+|\[[^\]]*\])", text):
        private = re.fullmatch(r"127\.0\.0\.1|192\.168\.\d+\.\d+", host)
        assert private or host in WELL_KNOWN or host.endswith(".example.org"), host


@pytest.mark.parametrize("document", names(documents()))
def test_code_blocks_say_their_language_and_json_is_json(document: str) -> None:
    for block in blocks(read(document)):
        assert block.language, block.text[:60]
        if block.language == "json":
            json.loads(block.text)
