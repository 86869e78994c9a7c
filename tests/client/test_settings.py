"""Where key, address and vault key come from, and which values are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inkbox_async.settings import Settings


def write_config(text: str | bytes) -> None:
    folder = Path.home() / ".inkbox"
    folder.mkdir(exist_ok=True)
    (folder / "config").write_bytes(text if isinstance(text, bytes) else text.encode())


def test_defaults() -> None:
    settings = Settings.resolve("key")

    assert settings.api_key == "key"
    assert settings.base_url == "https://inkbox.ai"
    assert settings.vault_key is None
    assert settings.timeout == 30.0
    assert settings.max_retries == 2


@pytest.mark.parametrize("name", ["api_key", "base_url", "vault_key"])
def test_what_is_not_text_is_refused_by_name_and_not_shown(name: str) -> None:
    settings: dict[str, Any] = {"api_key": "key", name: b"s3cret"}  # Any: what a caller gets wrong
    with pytest.raises(ValueError, match=f"{name} must be text, not bytes") as caught:
        Settings.resolve(**settings)
    assert "s3cret" not in str(caught.value)


def test_argument_wins_over_environment_and_environment_over_file(monkeypatch: pytest.MonkeyPatch) -> None:
    write_config("api_key = file-key\nbase_url = https://file.example\nvault_key = file-vault\n")
    monkeypatch.setenv("INKBOX_API_KEY", "env-key")
    monkeypatch.setenv("INKBOX_BASE_URL", "https://env.example")

    mixed = Settings.resolve(base_url="https://argument.example")

    assert (mixed.api_key, mixed.base_url, mixed.vault_key) == (
        "env-key",
        "https://argument.example",
        "file-vault",
    )


def test_an_empty_variable_counts_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    write_config("api_key=file-key")
    monkeypatch.setenv("INKBOX_API_KEY", "")

    assert Settings.resolve().api_key == "file-key"


def test_the_file_is_read_line_by_line() -> None:
    write_config(
        "# api_key = commented\n\nno equals sign here\napi_key = first\n  api_key =  'quoted=key'  \n"
        'vault_key="a vault key"\n[section]\nunknown = 1\n'
    )

    settings = Settings.resolve()

    assert settings.api_key == "quoted=key"
    assert settings.vault_key == "a vault key"


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"", b"\x00" * 10])
def test_an_unreadable_file_is_an_empty_one(content: bytes) -> None:
    write_config(content)

    with pytest.raises(ValueError, match="no Inkbox API key"):
        Settings.resolve()


def test_the_file_is_not_read_when_nothing_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Path:
        raise AssertionError("the file was looked for")

    monkeypatch.setattr(Path, "home", fail)
    monkeypatch.setenv("INKBOX_VAULT_KEY", "v")

    settings = Settings.resolve("key", base_url="https://a.example")

    assert settings.vault_key == "v"


@pytest.mark.parametrize("api_key", [None, "", "  "])
def test_no_key_says_where_to_put_one(api_key: str | None) -> None:
    with pytest.raises(ValueError, match="INKBOX_API_KEY"):
        Settings.resolve(api_key)


@pytest.mark.parametrize("api_key", ["two\nlines-secret", "kéy-secret", "with blank-secret"])
def test_an_impossible_key_is_refused_without_being_shown(api_key: str) -> None:
    with pytest.raises(ValueError, match="API key") as caught:
        Settings(api_key=api_key)

    assert "secret" not in str(caught.value)


def test_a_key_from_a_file_may_end_in_a_line_break() -> None:
    assert Settings(api_key="key\n").api_key == "key"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://inkbox.ai/", "https://inkbox.ai"),
        ("https://inkbox.ai///", "https://inkbox.ai"),
        ("https://gateway.example/inkbox/", "https://gateway.example/inkbox"),
        ("HTTPS://Inkbox.AI", "https://inkbox.ai"),
        ("http://localhost:8040", "http://localhost:8040"),
        ("http://127.0.0.1", "http://127.0.0.1"),
        ("http://[::1]:8040/", "http://[::1]:8040"),
    ],
)
def test_base_urls(given: str, kept: str) -> None:
    assert Settings(base_url=given).base_url == kept


@pytest.mark.parametrize(
    "base_url",
    [
        "http://inkbox.ai",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "http://127.0.0.2",
        "ftp://localhost",
        "inkbox.ai",
        "",
        "https://",
        "https://host:port",
        "https://[::1",
        "https://user:secret@inkbox.ai",
        "https://inkbox.ai?x=secret",
        "https://inkbox.ai#secret",
    ],
)
def test_refused_base_urls(base_url: str) -> None:
    with pytest.raises(ValueError, match="base_url") as caught:
        Settings(base_url=base_url)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timeout", 0),
        ("timeout", -1),
        ("timeout", float("inf")),
        ("timeout", float("nan")),
        ("timeout", "30"),
        ("timeout", True),
        ("max_retries", -1),
        ("max_retries", 1.5),
        ("max_retries", True),
        ("user_agent_prefix", "two\r\nlines"),
        ("user_agent_prefix", " "),
        ("response_observer", "not callable"),
    ],
)
def test_refused_values(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        Settings(**{name: value})


def test_a_coroutine_function_is_no_observer() -> None:
    async def observer(_: object) -> None: ...

    with pytest.raises(ValueError, match="request_observer must be a plain function"):
        Settings(request_observer=observer)


def test_no_time_limit() -> None:
    assert Settings(timeout=None).timeout is None


def test_user_agent() -> None:
    plain = Settings().user_agent
    assert plain.startswith("inkbox-async/")
    assert Settings(user_agent_prefix="my-agent/1").user_agent == f"my-agent/1 {plain}"


def test_keys_are_not_in_the_repr() -> None:
    shown = repr(Settings(api_key="secret-key", vault_key="secret-vault"))

    assert "secret" not in shown
    assert "https://inkbox.ai" in shown
