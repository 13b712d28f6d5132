from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import Misconfigured
from services.settings import Settings


def test_defaults_need_no_environment() -> None:
    settings = Settings.from_env({"PATH": "/bin", "OTHER": "x"})
    assert settings == Settings()
    assert (settings.home, settings.host, settings.port) == (Path("var"), "127.0.0.1", 8080)
    assert settings.store_url.startswith("sqlite:////")
    assert settings.store_url.endswith("/var/answerloop.db")


def test_values_are_read() -> None:
    env = {"HOME": "/srv/a", "PORT": " 81 ", "ACCESS_LOG": "Yes", "ASK_TIMEOUT_S": "2.5", "LOG_LEVEL": "ERROR"}
    settings = Settings.from_env({f"ANSWERLOOP_{name}": value for name, value in env.items()})
    assert (settings.home, settings.port, settings.access_log) == (Path("/srv/a"), 81, True)
    assert (settings.ask_timeout_s, settings.log_level) == (2.5, "error")


def test_empty_is_unset() -> None:
    assert Settings.from_env({"ANSWERLOOP_PORT": "", "ANSWERLOOP_HOME": " "}) == Settings()


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("PORT", "eighty", "a whole number from 0 to 65535"),
        ("PORT", "65536", "a whole number from 0 to 65535"),
        ("PORT", "8e1", "a whole number"),
        ("ASK_TIMEOUT_S", "nan", "seconds from 0.01 to 3600"),
        ("ASK_TIMEOUT_S", "inf", "seconds"),
        ("ACCESS_LOG", "maybe", "yes or no"),
        ("LOG_LEVEL", "loud", "one of debug, info, warning, error"),
        ("SERVER", "ftp://x", "http:// or https://"),
    ],
)
def test_a_wrong_value_names_the_variable_the_value_and_what_is_allowed(name: str, value: str, allowed: str) -> None:
    with pytest.raises(Misconfigured) as error:
        Settings.from_env({f"ANSWERLOOP_{name}": value})
    assert f"ANSWERLOOP_{name} is {value!r}" in str(error.value)
    assert allowed in str(error.value)


def test_a_wrong_secret_is_not_shown() -> None:
    with pytest.raises(Misconfigured) as error:
        Settings.from_env({"ANSWERLOOP_DATABASE_URL": "mysql://me:hunter2@db"})
    assert "hunter2" not in str(error.value)
    settings = Settings.from_env({"ANSWERLOOP_API_KEY": "al_secret"})
    assert "al_secret" not in repr(settings)
    assert "al_secret" not in str(list(settings.describe()))


def test_a_typo_is_named() -> None:
    with pytest.raises(Misconfigured, match=r"ANSWERLOOP_PRT is not a setting.*did you mean ANSWERLOOP_PORT"):
        Settings.from_env({"ANSWERLOOP_PRT": "1"})
    with pytest.raises(Misconfigured, match="answerloop doctor"):
        Settings.from_env({"ANSWERLOOP_XYZZY_QWERTY": "1"})


def test_every_setting_has_its_line() -> None:
    rows = list(Settings().describe())
    assert [row.variable for row in rows] == [f"ANSWERLOOP_{item.name.upper()}" for item in fields(Settings)]
    assert all(row.about.endswith(".") for row in rows)
    assert {row.type for row in rows} == {"path", "str", "int", "float", "bool"}


@given(
    port=st.integers(0, 65535),
    timeout=st.floats(0.01, 3600),
    access_log=st.booleans(),
    embedder=st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1),
)
def test_a_child_process_gets_the_very_same_settings(
    port: int, timeout: float, access_log: bool, embedder: str
) -> None:
    settings = Settings(Path("/srv"), port=port, ask_timeout_s=timeout, access_log=access_log, embedder=embedder)
    assert Settings.from_env(settings.to_env()) == settings
