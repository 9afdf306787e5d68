"""The shape of the code: who imports whom, how long things get, what they are called. Broken contracts are planted in a
copy of the tree, to see that they are found."""

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("common", "superpeer", "peer", "web")
DAEMONS = ("superpeer", "peer")
LONGEST_MODULE = 400
LONGEST_FUNCTION = 45
LONGEST_PAGE = 90  # of declarations, read downwards
VAGUE = frozenset({"base", "core", "helper", "helpers", "manager", "managers", "misc", "service", "util", "utils"})
SLICES = {
    "superpeer": ("peers", "files", "relay", "network"),
    "peer": ("shares", "uploads", "downloads", "uplink"),
}


class Module(NamedTuple):
    """`name` is dotted, `path` relative to the root of the tree."""

    name: str
    path: Path
    text: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)


@cache
def modules(root: Path = ROOT) -> list[Module]:
    paths = [path for package in PACKAGES for path in sorted((root / package).rglob("*.py"))]
    return [
        Module(".".join(path.relative_to(root).with_suffix("").parts), path.relative_to(root), path.read_text("utf-8"))
        for path in paths
    ]


def imports(module: Module) -> Iterator[str]:
    """Every dotted name that a module imports, those inside functions too."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{module.path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def slice_of(name: str) -> tuple[str, str] | None:
    """(daemon, slice) of a dotted name; None for what is in no slice."""
    daemon, _, rest = name.partition(".")
    first = rest.partition(".")[0]
    return (daemon, first) if first in SLICES.get(daemon, ()) else None


# Imports


def check_contracts(root: Path) -> subprocess.CompletedProcess[str]:
    """Runs import-linter on a tree as `make contracts` does, in a process of its own."""
    program = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    return subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=False)


def test_the_import_contracts_are_kept() -> None:
    checked = check_contracts(ROOT)
    assert checked.returncode == 0, checked.stdout


def test_every_package_and_slice_stands_in_a_contract() -> None:
    contracts = (ROOT / "pyproject.toml").read_text("utf-8")
    for daemon, slices in SLICES.items():
        folders = {path.parent.name for path in (ROOT / daemon).glob("*/__init__.py")}
        assert folders >= set(slices)
        for folder in folders:
            assert f"{daemon}.{folder}" in contracts, folder


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree, to be spoilt."""
    root = tmp_path_factory.mktemp("tree")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


PLANTED = {
    "a daemon imports the other": ("superpeer/app.py", "import peer.api"),
    "a daemon imports the other, inside a function": ("peer/app.py", "def late():\n    import superpeer.app"),
    "common imports a daemon": ("common/errors.py", "import superpeer.api"),
    "web imports common": ("web/assets.py", "import common.ids"),
    "a slice imports another": ("superpeer/files/search.py", "import superpeer.peers.presence"),
    "a slice of the peer imports another": ("peer/downloads/rate.py", "import peer.uploads.slots"),
    "a slice imports the composition root": ("peer/uplink/session.py", "import peer.app"),
    "the database imports a slice": ("superpeer/database/tables.py", "import superpeer.files.search"),
    "a wire type imports a daemon's edge": ("common/wire/files.py", "import common.http.body"),
}


@pytest.mark.parametrize("what", PLANTED)
def test_a_forbidden_import_is_found(what: str, copied: Path) -> None:
    where, line = PLANTED[what]
    file = copied / where
    before = file.read_text("utf-8")
    file.write_text(f"{before}\n\n{line}\n", "utf-8")
    try:
        checked = check_contracts(copied)
    finally:
        file.write_text(before, "utf-8")
    assert checked.returncode == 1, checked.stdout + checked.stderr
    assert "BROKEN" in checked.stdout


def test_the_copy_as_it_is_keeps_the_contracts(copied: Path) -> None:
    checked = check_contracts(copied)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_common_and_web_import_no_daemon() -> None:
    for module in modules():
        if module.path.parts[0] in ("common", "web"):
            assert not [name for name in imports(module) if name.partition(".")[0] in DAEMONS], module.path


def test_slices_do_not_import_each_other() -> None:
    for module in modules():
        own = slice_of(module.name)
        if own:
            others = {slice_of(name) for name in imports(module)} - {own, None}
            assert not others, f"{module.path} imports {others}"


# Sizes and names


class Length(NamedTuple):
    """A function and its lines."""

    where: str
    lines: int
    most: int


def lengths(found: list[Module]) -> Iterator[Length]:
    for module in found:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
                most = LONGEST_PAGE if is_page(module, node.name) else LONGEST_FUNCTION
                yield Length(f"{module.path}:{node.name}", node.end_lineno - node.lineno + 1, most)


def is_page(module: Module, function: str) -> bool:
    """A table of endpoints, or the composition root: declarations without a branch, read downwards."""
    return function == "endpoints" or (module.path.name == "app.py" and function == "__init__")


def too_long(found: list[Module]) -> list[Length]:
    return [length for length in lengths(found) if length.lines > length.most]


def test_no_function_is_too_long() -> None:
    assert too_long(modules()) == []


def test_a_long_page_of_declarations_hardly_branches() -> None:
    branches = ast.If | ast.For | ast.While | ast.Try | ast.Match
    for module in modules():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef) and is_page(module, node.name):
                is_long = (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION
                branching = [inner for inner in ast.walk(node) if isinstance(inner, branches)]
                assert not is_long or len(branching) <= 1, f"{module.path}:{node.name}"


def test_most_functions_are_short() -> None:
    found = sorted(length.lines for length in lengths(modules()))
    assert found[len(found) // 2] <= 8
    assert found[len(found) * 9 // 10] <= 25


def test_no_module_is_too_long() -> None:
    assert [(str(m.path), n) for m in modules() if (n := len(m.text.splitlines())) > LONGEST_MODULE] == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [str(m.path) for m in modules() if m.text.strip() and not ast.get_docstring(m.tree)]
    assert silent == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [str(m.path) for m in modules() if m.path.stem in VAGUE] == []


def planted(tmp_path: Path, name: str, text: str) -> list[Module]:
    folder = tmp_path / "common"
    folder.mkdir()
    (folder / name).write_text(text, "utf-8")
    return modules(tmp_path)


def test_what_is_too_long_is_found(tmp_path: Path) -> None:
    body = "\n".join("    x = 1" for _ in range(LONGEST_FUNCTION))
    (length,) = too_long(planted(tmp_path, "long.py", f"def long():\n{body}\n"))
    assert length == Length("common/long.py:long", LONGEST_FUNCTION + 1, LONGEST_FUNCTION)


# Edges


def users_of(library: str) -> set[str]:
    """The modules that import `library`, or something of it."""
    return {str(m.path) for m in modules() if any(f"{name}.".startswith(f"{library}.") for name in imports(m))}


@pytest.mark.parametrize(
    ("library", "home"),
    [
        ("sqlalchemy", "superpeer/"),
        ("alembic", "superpeer/database/"),
        ("jinja2", "web/"),
        ("yaml", "common/runtime/config_file.py"),
        ("rich", "peer/control/terminal"),
        ("prometheus_client", "common/http/metrics.py"),
    ],
)
def test_a_library_is_used_where_it_belongs_alone(library: str, home: str) -> None:
    users = users_of(library)
    assert users
    assert [path for path in users if not path.startswith(home)] == []


@pytest.mark.parametrize("library", ["http.client", "pickle", "requests", "urllib.request", "urllib3"])
def test_a_library_that_goes_around_a_choke_point_is_not_used(library: str) -> None:
    assert users_of(library) == set()


def attributes(module: Module) -> set[str]:
    """`web.HTTPNotFound` and the like, as they are written."""
    found = (node for node in ast.walk(module.tree) if isinstance(node, ast.Attribute))
    return {f"{node.value.id}.{node.attr}" for node in found if isinstance(node.value, ast.Name)}


def test_requests_leave_through_one_kind_of_session() -> None:
    makers = {str(m.path) for m in modules() if "aiohttp.ClientSession(" in m.text}
    assert makers == {"common/http/dialling.py"}


def test_statuses_of_errors_are_known_in_the_http_layer_alone() -> None:
    """Refusals have families, which only `common/http` turns into statuses; `web` stands beside `common`."""
    for module in modules():
        if module.path.parts[0] != "web" and module.path.parts[:2] != ("common", "http"):
            raised = [name for name in attributes(module) if name.startswith("web.HTTP")]
            assert not raised, module.path
            keywords = [
                node for node in ast.walk(module.tree) if isinstance(node, ast.keyword) and node.arg == "status"
            ]
            values = [node.value.value for node in keywords if isinstance(node.value, ast.Constant)]
            assert not [value for value in values if isinstance(value, int) and value >= 400], module.path
