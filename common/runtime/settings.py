"""Where the configuration comes from: defaults < file < environment < flags, later over earlier, key by key.

Every source is checked whole, also where a later one overrides it. The first thing wrong stops the start with one line:
the place, the key, the value and what was expected.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_type_hints

from common.runtime.config import Config
from common.runtime.kinds import ConfigError, Kind, Written, shown

if TYPE_CHECKING:
    from common.runtime.config_file import Section

__all__ = ["ConfigError", "Loaded", "load_config", "settings_known", "variable"]

Daemon = Literal["super_peer", "peer"]
Layer = Mapping[str, Written]

DEFAULT_FILE = "config.yaml"


class Loaded(NamedTuple):
    """The configuration, and what to warn of at start: whole sentences."""

    config: Config
    warnings: list[str]


def load_config(file: str | None, environ: Mapping[str, str], flags: Mapping[str, Any], *, daemon: Daemon) -> Loaded:
    """The settings for `daemon`, which alone heeds `PORT`.

    `file` is what --config names; None means ./config.yaml if it is there. `flags` go by dotted name (`peer.port`);
    None is a flag not given. Raises ConfigError.
    """
    layers = (_from_file(file), _from_environment(environ, daemon), _from_flags(flags))
    values = {key: settings_known()[key].value(key, written) for layer in layers for key, written in layer.items()}
    config = _built(values)
    return Loaded(config, [*_misspelt_variables(environ), *_not_built_yet(config)])


@cache
def settings_known() -> Mapping[str, Kind]:
    """Every setting by its dotted name."""
    return {
        f"{section}.{key}": hint.__metadata__[0]
        for section, settings in get_type_hints(Config).items()
        for key, hint in get_type_hints(settings, include_extras=True).items()
    }


def variable(key: str) -> str:
    """The environment variable of a setting: `super_peer.port` is SUPERPEER_PORT."""
    section, _, name = key.partition(".")
    return f"{section.replace('_', '')}_{name}".upper()


def _built(values: Mapping[str, Any]) -> Config:
    sections: dict[str, dict[str, Any]] = {section: {} for section in Config.__struct_fields__}
    for key, value in values.items():
        section, _, name = key.partition(".")
        sections[section][name] = value
    types = get_type_hints(Config)
    return Config(**{section: types[section](**given) for section, given in sections.items()})


def _from_file(file: str | None) -> Layer:
    if file is None and not os.path.lexists(DEFAULT_FILE):
        return {}
    from common.runtime.config_file import read_config_file  # YAML takes memory that a daemon without a file keeps

    layer: dict[str, Written] = {}
    for section in read_config_file(DEFAULT_FILE if file is None else file):
        _require_section(section)
        layer |= {_setting(section.name, name, written): written for name, written in section.keys.items()}
    return layer


def _require_section(section: "Section") -> None:
    known = Config.__struct_fields__
    if section.name not in known:
        hint = _hint(get_close_matches(section.name, known, n=1), known)
        raise ConfigError(f"{section.where}: {shown(section.name)} is not a section{hint}")


def _setting(section: str, name: str, written: Written) -> str:
    """The dotted name, if there is such a setting. The value of another is not repeated: it may be a password."""
    key = f"{section}.{name}"
    if key not in settings_known():
        beside = [other for other in settings_known() if other.startswith(f"{section}.")]
        elsewhere = [other for other in settings_known() if other.endswith(f".{name}")]
        hint = _hint(elsewhere or get_close_matches(key, beside, n=1), beside)
        raise ConfigError(f"{written.where}: {shown(key)} is not a setting{hint}")
    return key


def _hint(near: Sequence[str], known: Sequence[str]) -> str:
    return f"; did you mean {' or '.join(near)}?" if near else f", expected one of {', '.join(known)}"


def _from_environment(environ: Mapping[str, str], daemon: Daemon) -> Layer:
    """The variables that belong to one setting win over PORT and DEBUG, which other programs know too."""
    layer: dict[str, Written] = {}
    if "PORT" in environ:
        layer[f"{daemon}.port"] = Written(environ["PORT"], "environment variable PORT")
    if environ.get("DEBUG", "").lower() in ("true", "yes", "on", "1"):
        layer["logging.level"] = Written("debug", "environment variable DEBUG")
    for key, kind in settings_known().items():
        name = variable(key)
        if name in environ:
            value = environ[name].split(",") if kind.many else environ[name]
            layer[key] = Written(value, f"environment variable {name}")
    return layer


def _from_flags(flags: Mapping[str, Any]) -> Layer:
    return {key: Written(_as_written(value), "command line") for key, value in flags.items() if value is not None}


def _as_written(value: Any) -> str | list[str]:
    return [str(item) for item in value] if isinstance(value, list | tuple) else str(value)


def _misspelt_variables(environ: Mapping[str, str]) -> Iterator[str]:
    """The environment is everybody's, so a variable that is not ours is no error, but a near miss is worth a word."""
    names = [variable(key) for key in settings_known()]
    prefixes = tuple({name.partition("_")[0] + "_" for name in names} | {"SUPER_PEER_"})
    for name in sorted(environ):
        if name.startswith(prefixes) and name not in names:
            for near in get_close_matches(name, names, n=1, cutoff=0.85):
                yield f"environment variable {shown(name)} is not a setting and was not heeded; did you mean {near}?"


def _not_built_yet(config: Config) -> Iterator[str]:
    if config.security.enable_encryption:
        yield "security.enable_encryption is on, but TLS between daemons is not built yet: connections are plain HTTP."
