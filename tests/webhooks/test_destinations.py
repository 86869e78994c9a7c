"""Which addresses are on this machine, decided without asking anybody."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkbox_async.sandbox.settings import Settings
from inkbox_async.sandbox.webhooks.destinations import check_receiver, refusal


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/",
        "http://LOCALHOST:8000/x?y=1",
        "http://agent.localhost:8040/hooks",
        "http://localhost./",
        "http://127.0.0.1/",
        "http://127.8.9.10:1/",
        "http://[::1]:9/",
        "https://agent.localhost:8443/",
    ],
)
def test_this_machine(url: str) -> None:
    """Loopback addresses and names under `localhost` are always allowed."""
    assert refusal(url, Settings()) is None
    assert check_receiver(url, Settings()) == url


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/",
        "https://localhost.example.com/",
        "https://notlocalhost/",
        "https://127.0.0.1.example.com/",
        "https://user@example.com/",
        "https://localhost@example.com/",
        "https://10.0.0.1/",
        "https://0.0.0.0/",
        "https://169.254.169.254/",
        "https://[fe80::1]/",
        "https://2130706433/",
        "https://0177.0.0.1/",
    ],
)
def test_elsewhere(url: str) -> None:
    """Everything else needs permission, however it is spelled."""
    assert "--allow-external-webhooks" in (refusal(url, Settings()) or "")
    assert refusal(url, Settings(allow_external_webhooks=True)) is None


def test_the_public_domain_is_this_machine() -> None:
    """Tunnels of the sandbox under their production names end at its own edge."""
    settings = Settings(public_domain="inkboxwire.com")
    assert refusal("https://agent.inkboxwire.com/hooks", settings) is None
    assert refusal("https://inkboxwire.com.example.com/", settings) is not None
    assert refusal("https://agent.inkboxwire.com/hooks", Settings()) is not None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks",
        "//localhost/",
        "https:",
        "https://",
        "https:///path",
        "https://:80/",
        "https://localhost:port/",
        "https://localhost:99999/",
        "https://[::1/",
        "https://local host/",
        "https://localhost/\n",
        "ftp://localhost/",
        "http://example.com/",
        "https://localhost/" + "x" * 2048,
    ],
)
def test_no_receiver(url: str) -> None:
    """What cannot be POSTed to, or not safely, is refused when it is given."""
    with pytest.raises(ValueError, match="URL"):
        check_receiver(url, Settings())


@given(st.text())
def test_any_text(text: str) -> None:
    """A URL or a ValueError, and a verdict on where it is."""
    refusal(text, Settings())
    try:
        check_receiver(text, Settings())
    except ValueError:
        return
