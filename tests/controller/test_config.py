"""The configuration is checked whole before anything starts."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from dative.errors import ConfigError
from dative_controller.config import load


def test_later_sources_win(tmp_path: Path) -> None:
    file = tmp_path / "controller.yaml"
    file.write_text(
        "data_dir: /from/file\nlisten_public: 127.0.0.1:1\notel: {endpoint: 'http://a:1', protocol: http}\n"
    )
    environment = {"DATIVE_CONTROLLER_LISTEN_PUBLIC": "127.0.0.1:2", "DATIVE_CONTROLLER_OTEL__ENDPOINT": "http://b:2"}
    config = load(file, environment, {"data_dir": "/from/flag", "database": None})
    assert config.data_dir == Path("/from/flag")
    assert config.listen_public == "127.0.0.1:2"
    assert config.otel is not None
    assert (config.otel.endpoint, config.otel.protocol) == ("http://b:2", "http")
    assert config.database_url == "sqlite:////from/flag/dative.db"


def test_lists_and_durations_come_from_the_environment() -> None:
    environment = {"DATIVE_CONTROLLER_HOST_NAMES": "a.example, b.example", "DATIVE_CONTROLLER_HEARTBEAT": "PT20S"}
    config = load(environment=environment, flags={"data_dir": "/d"})
    assert config.host_names == ("a.example", "b.example")
    assert config.heartbeat == timedelta(seconds=20)


WRONG = {
    "an unknown key": ({"lisen_public": "a:1"}, "did you mean listen_public"),
    "an unknown inner key": ({"otel": {"endpont": "x"}}, "did you mean otel.endpoint"),
    "no port": ({"listen_atoms": "localhost"}, "must be host:port"),
    "a heartbeat too slow": ({"heartbeat": timedelta(hours=1)}, "heartbeat"),
    "a certificate too short": ({"atom_certificate_lifetime": timedelta(minutes=1)}, "must hold"),
    "a certificate too long": ({"atom_certificate_lifetime": timedelta(days=30)}, "14 days"),
    "tokens the wrong way round": ({"access_token_lifetime": timedelta(days=2)}, "shorter"),
    "another database": ({"database": "mysql://x"}, "postgresql"),
    "no directory": ({"data_dir": None}, "data_dir"),
}


@pytest.mark.parametrize(("flags", "says"), WRONG.values(), ids=WRONG.keys())
def test_what_does_not_fit_is_refused_and_named(flags: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load(environment={}, flags={"data_dir": "/d"} | flags)


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "a: &x 1\nb: !!python/object:os.system {}\n"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "controller.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError):
        load(file, {}, {"data_dir": "/d"})
