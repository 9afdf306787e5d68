"""What is written in a file, the environment and flags becomes one configuration, or one clear line."""

import os
import re
import subprocess
import sys
from ipaddress import ip_network
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.runtime.config import Config, LoggingSettings, PeerSettings, SecuritySettings, SuperPeerSettings
from common.runtime.settings import ConfigError, Loaded, load_config, settings_known, variable

SHIPPED = Path(__file__).parents[3] / "config.yaml"

# The example of the system whose programs this one has to get along with.
EARLIER_EXAMPLE = """\
super_peer:
  port: 8080
  max_peers: 1000
  heartbeat_interval: 30s
  cleanup_interval: 5m

peer:
  port: 9001
  super_peer_address: "localhost:8080"
  shared_directory: "./shared_files"
  max_file_size: 100MB
  heartbeat_interval: 30s
  auto_register: true

security:
  enable_encryption: true
  hash_algorithm: "sha256"
  max_connections: 100

logging:
  level: "info"
  format: "json"
  output: "stdout"
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Where no config.yaml lies."""
    monkeypatch.chdir(tmp_path)


def load(text=None, environ=None, flags=None, daemon="peer") -> Loaded:
    if text is not None:
        Path("given.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_config(None if text is None else "given.yaml", environ or {}, flags or {}, daemon=daemon)


def complaint(text=None, environ=None, flags=None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(text, environ, flags)
    said = str(caught.value)
    assert said.isprintable(), "one line, nothing that a terminal acts on"
    return said


# What loads


def test_nothing_written_anywhere_is_the_defaults():
    assert load() == Loaded(Config(), [])


def test_the_earlier_systems_example_loads_as_it_stands():
    loaded = load(EARLIER_EXAMPLE)
    assert loaded.config == Config(
        super_peer=SuperPeerSettings(max_peers=1000), security=SecuritySettings(enable_encryption=True)
    )
    assert loaded.config.super_peer.cleanup_interval == 300.0
    assert loaded.config.peer.max_file_size == 100_000_000


def test_encryption_that_is_not_built_yet_is_warned_of():
    (warning,) = load(EARLIER_EXAMPLE).warnings
    assert "enable_encryption" in warning


def test_the_shipped_file_is_the_defaults():
    assert load(SHIPPED.read_text()) == Loaded(Config(), [])


def test_the_shipped_file_names_every_setting_with_a_comment():
    section, named = "", set()
    for line in SHIPPED.read_text().splitlines():
        if found := re.match(r"(\w+):$", line):
            section = found[1]
        elif found := re.match(r"  (\w+): \S.*? # \S", line):
            named.add(f"{section}.{found[1]}")
    assert named == set(settings_known())


@pytest.mark.parametrize("text", ["", "---\n", "# only a comment\n", "peer:\n", "peer: {}\n", "\ufeff", "~\n"])
def test_a_file_that_says_nothing_changes_nothing(text):
    assert load(text).config == Config()


def test_config_yaml_in_the_working_directory_is_read_when_no_file_is_named():
    Path("config.yaml").write_text("peer:\n  port: 9500\n")
    assert load().config.peer.port == 9500


def test_a_named_file_takes_the_place_of_config_yaml():
    Path("config.yaml").write_text("peer:\n  port: 9500\n")
    assert load("peer:\n  name: mine\n").config.peer == PeerSettings(name="mine")


def test_a_later_source_wins_key_by_key():
    text = "peer:\n  port: 1\n  name: file\n  region: file\n  data: file\n"
    environ = {"PEER_PORT": "2", "PEER_NAME": "environment", "PEER_REGION": "environment"}
    peer = load(text, environ, {"peer.port": 3, "peer.name": "flag", "peer.data": None}).config.peer
    assert (peer.port, peer.name, peer.region, peer.data) == (3, "flag", "environment", "file")


@pytest.mark.parametrize(
    ("written", "value"),
    [("no", "no"), ("007", "007"), ("1e3", "1e3"), ("2024-01-01", "2024-01-01"), ("", ""), ("~", ""), ("null", "")],
)
def test_a_region_is_what_stands_there_whatever_yaml_would_make_of_it(written, value):
    assert load(f"peer:\n  region: {written}\n").config.peer.region == value


@pytest.mark.parametrize(("written", "value"), [("yes", True), ("True", True), ("off", False), ("'false'", False)])
def test_a_switch_is_any_of_yamls_words(written, value):
    assert load(f"peer:\n  auto_register: {written}\n").config.peer.auto_register is value


@pytest.mark.parametrize(("written", "value"), [("auto", None), ("", None), ("true", True), ("no", False)])
def test_identity_may_be_required_not_required_or_left_to_the_profile(written, value):
    assert load(f"security:\n  require_identity: {written}\n").config.security.require_identity is value


@pytest.mark.parametrize(("written", "value"), [("warn", "warning"), ("WARNING", "warning"), ("Debug", "debug")])
def test_levels_are_read_in_any_case_and_warn_is_one(written, value):
    assert load(f"logging:\n  level: {written}\n").config.logging.level == value


@pytest.mark.parametrize(("written", "value"), [("500ms", 0.5), ("30s", 30.0), ("5m", 300.0), ("1.5", 1.5)])
def test_durations_become_seconds(written, value):
    assert load(f"peer:\n  sweep_interval: {written}\n").config.peer.sweep_interval == value


@pytest.mark.parametrize(("written", "value"), [("100MB", 10**8), ("4GiB", 4 * 2**30), ("0", 0), ("12", 12)])
def test_sizes_become_bytes(written, value):
    assert load(f"peer:\n  max_file_size: {written}\n").config.peer.max_file_size == value


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("localhost:8080", "localhost:8080"),
        ("'[::1]:80'", "[::1]:80"),
        ("Super_Peer-1.lan:1", "super_peer-1.lan:1"),
        ("10.0.0.7:65535", "10.0.0.7:65535"),
        ("3f2a:80", "3f2a:80"),
    ],
)
def test_an_address_is_a_host_and_a_port(written, value):
    assert load(f"peer:\n  super_peer_address: {written}\n").config.peer.super_peer_address == value


def test_a_path_may_begin_at_home():
    assert load("peer:\n  downloads: ~/here\n").config.peer.downloads == os.path.expanduser("~/here")


def test_networks_are_parsed():
    text = "super_peer:\n  trusted_proxies:\n    - 10.0.0.0/8\n    - ::1\n"
    assert load(text).config.super_peer.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("::1/128"))


def test_one_value_is_a_list_of_one_and_its_commas_are_its_own():
    assert load("peer:\n  shares: /a,b\n").config.peer.shares == ("/a,b",)


def test_a_list_from_the_environment_is_separated_by_commas():
    config = load(environ={"PEER_SHARES": "/a, /b,", "SUPERPEER_ALLOWED_HOSTS": ""}).config
    assert (config.peer.shares, config.super_peer.allowed_hosts) == (("/a", "/b"), ())


def test_every_setting_has_a_variable_of_its_own():
    names = {variable(key) for key in settings_known()}
    assert len(names) == len(settings_known())
    assert {"SUPERPEER_PORT", "PEER_PORT", "PEER_SUPER_PEER_ADDRESS", "SECURITY_PROFILE", "LOGGING_LEVEL"} <= names


@pytest.mark.parametrize(("daemon", "ports"), [("peer", (8080, 7000)), ("super_peer", (7000, 9001))])
def test_port_is_for_the_daemon_that_starts(daemon, ports):
    config = load(environ={"PORT": "7000"}, daemon=daemon).config
    assert (config.super_peer.port, config.peer.port) == ports


def test_the_variable_of_one_setting_wins_over_the_general_one():
    environ = {"PORT": "1", "PEER_PORT": "2", "DEBUG": "true", "LOGGING_LEVEL": "error"}
    config = load(environ=environ).config
    assert (config.peer.port, config.logging.level) == (2, "error")


@pytest.mark.parametrize(
    ("written", "level"), [("true", "debug"), ("1", "debug"), ("false", "info"), ("app:*", "info")]
)
def test_debug_is_heeded_when_it_is_true_and_left_to_others_otherwise(written, level):
    assert load(environ={"DEBUG": written}).config.logging.level == level


def test_a_variable_of_somebody_else_is_no_error():
    environ = {"PEER_SERVICE_HOST": "10.0.0.1", "SUPERPEER_PORT_8080_TCP": "tcp://10.0.0.1:8080", "HOME": "/"}
    assert load(environ=environ) == Loaded(Config(), [])


@pytest.mark.parametrize("name", ["SUPER_PEER_PORT", "SUPERPEER_PROT"])
def test_a_variable_that_is_nearly_ours_is_warned_of(name):
    (warning,) = load(environ={name: "1"}).warnings
    assert name in warning and "SUPERPEER_PORT?" in warning


def test_flags_bring_lists_numbers_and_switches_as_they_are():
    flags = {"peer.shares": ["/a", "/b"], "peer.settle": 0.25, "peer.auto_register": False, "peer.port": 0}
    assert load(flags=flags).config.peer == PeerSettings(shares=("/a", "/b"), settle=0.25, auto_register=False, port=0)


def test_the_configuration_cannot_be_changed():
    with pytest.raises(AttributeError):
        Config().peer.port = 1


def test_yaml_is_not_loaded_where_there_is_no_file():
    script = (
        "import sys; from common.runtime.settings import load_config;"
        "load_config(None, {'PEER_NAME': 'x'}, {}, daemon='peer'); sys.exit('yaml' in sys.modules)"
    )
    environ = os.environ | {"PYTHONPATH": str(SHIPPED.parent)}
    assert subprocess.run([sys.executable, "-c", script], env=environ, check=False).returncode == 0


# What is refused, and how


@pytest.mark.parametrize(
    ("section", "key", "written"),
    [
        ("super_peer", "port", "70000"),
        ("super_peer", "port", "-1"),
        ("super_peer", "port", "true"),
        ("super_peer", "port", "80.5"),
        ("super_peer", "port", "0x50"),
        ("super_peer", "port", "eighty"),
        ("super_peer", "port", ""),
        ("super_peer", "port", "[80]"),
        ("super_peer", "port", "9" * 5000),
        ("super_peer", "port", "٨٠"),
        ("super_peer", "max_peers", "0"),
        ("super_peer", "heartbeat_interval", "-5s"),
        ("super_peer", "heartbeat_interval", "0"),
        ("super_peer", "heartbeat_interval", "30 parsecs"),
        ("super_peer", "heartbeat_interval", ".inf"),
        ("super_peer", "heartbeat_interval", ".nan"),
        ("super_peer", "heartbeat_interval", "true"),
        ("super_peer", "peer_grace", "99999d"),
        ("super_peer", "trusted_proxies", "[10.0.0.1/8]"),
        ("super_peer", "trusted_proxies", "[anyone]"),
        ("super_peer", "allowed_hosts", "['https://files.example.org']"),
        ("super_peer", "host", "'a b'"),
        ("super_peer", "host", "256.1.1.1"),
        ("super_peer", "host", ""),
        ("super_peer", "host", '"fe80::1%\\e[2J"'),
        ("peer", "super_peer_address", "localhost"),
        ("peer", "super_peer_address", "http://localhost:8080"),
        ("peer", "super_peer_address", "localhost:0"),
        ("peer", "super_peer_address", "::1:8080"),
        ("peer", "max_file_size", "-1"),
        ("peer", "max_file_size", "1000PB"),
        ("peer", "auto_register", "maybe"),
        ("peer", "data", ""),
        ("peer", "data", '"a\\0b"'),
        ("peer", "name", '"two\\nlines"'),
        ("peer", "name", '"\\e[31mred"'),
        ("peer", "name", "n" * 256),
        ("security", "profile", "wan"),
        ("security", "require_identity", "perhaps"),
        ("logging", "level", "loud"),
        ("logging", "format", "xml"),
        ("logging", "output", ""),
    ],
)
def test_a_wrong_value_is_told_with_its_place_its_key_and_what_was_expected(section, key, written):
    said = complaint(f"# one\n\n{section}:\n  # two\n  {key}: {written}\n")
    assert said.startswith(f"given.yaml, line 5: {section}.{key} is ")
    assert f"expected {settings_known()[f'{section}.{key}'].expected}" in said
    assert len(said) < 300


def test_the_complaint_repeats_what_was_written():
    assert complaint("super_peer:\n  port: 70000\n") == (
        "given.yaml, line 2: super_peer.port is '70000', expected a port from 1 to 65535, or 0 for any that is free"
    )


def test_another_hash_algorithm_is_refused_kindly():
    assert "expected sha256 or blake3" in complaint("security:\n  hash_algorithm: md5\n")


def test_a_database_is_refused_without_repeating_its_password():
    said = complaint(environ={"SUPERPEER_DATABASE": "postgresql://shoal:hunter2@localhost/shoal"})
    assert "super_peer.database" in said and "not available yet" in said and "hunter2" not in said


def test_a_misspelt_key_is_refused_without_repeating_its_value():
    said = complaint("super_peer:\n  databse: postgresql://shoal:hunter2@localhost/shoal\n")
    assert said == "given.yaml, line 2: 'super_peer.databse' is not a setting; did you mean super_peer.database?"


def test_a_key_of_another_section_is_sent_there():
    assert complaint("peer:\n  level: debug\n").endswith("; did you mean logging.level?")


def test_a_key_that_resembles_nothing_is_told_what_there_is():
    assert "expected one of logging.level, logging.format, logging.output" in complaint("logging:\n  zzzzzz: 1\n")


def test_an_unknown_section_is_refused_with_the_nearest_even_when_empty():
    assert complaint("logging:\n\nsuperpeer:\n") == (
        "given.yaml, line 3: 'superpeer' is not a section; did you mean super_peer?"
    )


def test_wrong_variables_and_flags_say_where_they_stand():
    assert complaint(environ={"PORT": "http"}).startswith("environment variable PORT: peer.port is 'http', expected")
    assert complaint(environ={"PEER_SETTLE": "-1s"}).startswith("environment variable PEER_SETTLE: peer.settle is")
    assert complaint(flags={"peer.port": 99999}).startswith("command line: peer.port is '99999', expected")
    assert complaint(flags={"peer.port": True}).startswith("command line: peer.port is 'True', expected")


def test_a_wrong_value_stops_the_start_although_a_later_source_overrides_it():
    assert "given.yaml, line 2" in complaint("peer:\n  port: x\n", {"PEER_PORT": "2"}, {"peer.port": 3})


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("- a\n- b\n", 1, "the file is a list, expected sections"),
        ("just text\n", 1, "the file is 'just text', expected sections"),
        ("peer:\n  port: 1\nsecurity: 5\n", 3, "'security' is '5', expected keys"),
        ("peer: [1]\n", 1, "'peer' is a list, expected keys"),
        ("peer:\n  port: 1\n  port: 1\n", 3, "'port' is written twice, first on line 2"),
        ("peer:\n  port: 1\nlogging:\npeer:\n  name: a\n", 4, "'peer' is written twice, first on line 1"),
        ("peer:\n  name: &a x\n  region: *a\n", 3, "aliases"),
        ("peer: &a\n  <<: *a\n", 2, "aliases"),
        ("peer:\n  <<: {port: 1}\n", 2, "'peer.<<' is a mapping"),
        ("peer:\n  port: {a: 1}\n", 2, "'peer.port' is a mapping, expected a value or a list"),
        ("peer:\n  shares: [a, [b]]\n", 2, "nested too deeply"),
        ("peer:\n  name: !!python/object/apply:os.system [id]\n", 2, "peer.name is ['id'], expected one line"),
        ("peer:\n  name: !!python/name:os.system x\n", 2, "tagged"),
        ("peer:\n  name: !secret x\n", 2, "tagged '!secret'"),
        ("peer:\n  name: !!binary aGk=\n", 2, "tagged"),
        ("? [a]\n: b\n", 1, "a list stands where a key is expected"),
        ("peer:\n\tport: 1\n", 2, "not readable as YAML"),
        ("peer:\n  name: 'open\n", 3, "not readable as YAML"),
        ("peer:\n  name: a: b\n", 2, "not readable as YAML"),
        ("peer:\n---\npeer:\n", 2, "not readable as YAML"),
        ("peer:\n  name: \x1b[31m\n", 2, "not readable as YAML"),
        ("peer:\n  name: @a\n", 2, "not readable as YAML"),
        (b"peer:\n  name: caf\xe9\n", 2, "byte 0xe9 is not UTF-8"),
        ("[" * 100_000, 1, "nested too deeply"),
        ("{a: " * 50_000, 1, "nested too deeply"),
    ],
)
def test_a_file_of_another_shape_is_refused_with_the_line(text, line, words):
    said = complaint(text)
    assert said.startswith(f"given.yaml, line {line}: ")
    assert words in said


def test_a_file_that_grows_when_expanded_is_refused_before_it_does():
    bomb = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    assert "line 2: *a: aliases are not used here" in complaint(bomb)


def test_a_file_of_absurd_size_is_refused():
    assert "256 KiB" in complaint("#" * 300_000)


def test_a_named_file_that_is_missing_is_refused():
    with pytest.raises(ConfigError, match=r"^nowhere.yaml: cannot be read: No such file"):
        load_config("nowhere.yaml", {}, {}, daemon="peer")


@pytest.mark.parametrize("name", ["", "two\nlines.yaml"])
def test_an_odd_file_name_still_makes_one_line(name):
    with pytest.raises(ConfigError) as caught:
        load_config(name, {}, {}, daemon="peer")
    assert str(caught.value).isprintable() and str(caught.value).startswith(repr(name))


def test_a_folder_or_a_dangling_link_in_place_of_the_file_is_refused():
    Path("config.yaml").symlink_to("gone")
    with pytest.raises(ConfigError, match=r"^config.yaml: cannot be read"):
        load()
    Path("folder").mkdir()
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_config("folder", {}, {}, daemon="peer")


def test_logging_settings_are_read_too():
    config = load(environ={"LOGGING_FORMAT": "console", "LOGGING_OUTPUT": "~/x.log"}).config
    assert config.logging == LoggingSettings(format="console", output=os.path.expanduser("~/x.log"))


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: f"peer:\n  name: {text}\n".encode())))
def test_whatever_the_file_holds_it_loads_or_is_refused_in_one_line(tmp_path_factory, raw):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(raw)
    try:
        config, _ = load_config(str(path), {}, {}, daemon="peer")
    except ConfigError as error:
        assert str(error).isprintable()
    else:
        msgspec.structs.asdict(config)


@given(st.sampled_from(sorted(settings_known())), st.text(max_size=60))
def test_whatever_a_variable_holds_it_is_taken_or_refused_in_one_line(key, text):
    try:
        load_config("/dev/null", {variable(key): text}, {}, daemon="peer")
    except ConfigError as error:
        assert str(error).isprintable() and key in str(error)
