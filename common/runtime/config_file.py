"""Reads a configuration file: two levels of YAML, each value as the text that stands there, with its line.

No value is constructed, so nothing of YAML's typing (`no` for false, octal numbers, objects) can happen. Aliases, a key
written twice and anything nested deeper are refused.
"""

from typing import NamedTuple

import yaml

from common.runtime.kinds import ConfigError, Written, shown

LARGEST_FILE = 256 * 1024
_DEEPEST = 3  # sections, their keys, a list
_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "timestamp"))
_NULL_TAG = "tag:yaml.org,2002:null"


class Section(NamedTuple):
    """One section as written."""

    name: str
    where: str
    keys: dict[str, Written]


def read_config_file(path: str) -> list[Section]:
    """The sections of the file; none for an empty file. Raises ConfigError, with the line where there is one."""
    place = path if path and path.isprintable() else shown(path)
    text = _read_text(path, place)
    try:
        _check_shape(place, text)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{place}{_line_of(error, text)}: not readable as YAML: {_problem(error)}") from None
    if root is None or _is_null(root):
        return []
    sections = _items(place, root, "the file", "sections such as super_peer:")
    return [_section(place, name, node) for name, node in sections]


def _read_text(path: str, place: str) -> str:
    try:
        with open(path, "rb") as file:
            raw = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise ConfigError(f"{place}: cannot be read: {error.strerror}") from None
    if len(raw) > LARGEST_FILE:
        raise ConfigError(f"{place}: larger than {LARGEST_FILE // 1024} KiB, which no configuration is")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{place}, line {line}: byte {raw[error.start]:#04x} is not UTF-8") from None


def _check_shape(place: str, text: str) -> None:
    """Before anything recursive or anything that could grow sees the text."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise ConfigError(f"{_at(place, event)}: *{event.anchor}: aliases are not used here, write the value out")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            raise ConfigError(f"{_at(place, event)}: nested too deeply: a section holds keys, a key a value or a list")


def _items(place: str, node: yaml.Node, name: str, expected: str) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{_at(place, node)}: {name} is {_described(node)}, expected {expected}")
    first: dict[str, yaml.Node] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise ConfigError(f"{_at(place, key)}: {_described(key)} stands where a key is expected")
        if key.value in first:
            before = first[key.value].start_mark.line + 1
            raise ConfigError(f"{_at(place, key)}: {shown(key.value)} is written twice, first on line {before}")
        first[key.value] = key
    return list(node.value)


def _section(place: str, name: yaml.ScalarNode, node: yaml.Node) -> Section:
    where = _at(place, name)
    if _is_null(node):
        return Section(name.value, where, {})
    items = _items(place, node, shown(name.value), "keys with values under it")
    keys = {
        key.value: Written(_value(place, f"{name.value}.{key.value}", node), _at(place, key)) for key, node in items
    }
    return Section(name.value, where, keys)


def _value(place: str, key: str, node: yaml.Node) -> str | list[str]:
    if isinstance(node, yaml.SequenceNode):
        return [_scalar(place, key, item) for item in node.value]
    return _scalar(place, key, node)


def _scalar(place: str, key: str, node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode) or node.tag not in _PLAIN_TAGS:
        raise ConfigError(f"{_at(place, node)}: {shown(key)} is {_described(node)}, expected a value or a list")
    return "" if _is_null(node) else str(node.value)


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == _NULL_TAG


def _described(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return shown(node.value) if node.tag in _PLAIN_TAGS else f"tagged {shown(node.tag)}"
    return "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"


def _at(place: str, what: yaml.Node | yaml.Event) -> str:
    return f"{place}, line {what.start_mark.line + 1}" if what.start_mark else place


def _line_of(error: yaml.YAMLError, text: str) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f", line {error.problem_mark.line + 1}"
    position = getattr(error, "position", None)
    return "" if position is None else f", line {text.count(chr(10), 0, position) + 1}"


def _problem(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError):
        return " ".join(part for part in (error.context, error.problem) if part)
    return str(getattr(error, "reason", error))
