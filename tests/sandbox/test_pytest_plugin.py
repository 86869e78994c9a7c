"""The fixtures for users' own tests, in a test run of their own."""

from __future__ import annotations

import pytest

pytest_plugins = ("pytester",)

TESTS = """
import urllib.request
import pytest

{mark}
async def test_client(inkbox, inkbox_sandbox):
    assert await inkbox.list_identities() == []
    identity = await inkbox.create_identity("support")
    result = await inkbox_sandbox.world.send_email(
        from_="ann@example.com", to=[identity.email_address], subject="Hello", text="Hi"
    )
    assert result.deliveries[0].email_address == identity.email_address
    inkbox_sandbox.clock.advance(3600)

{mark}
async def test_the_next_test_begins_anew(inkbox):
    assert await inkbox.list_identities() == []
    await inkbox.create_identity("support")

def test_without_a_loop(inkbox_sandbox):
    assert inkbox_sandbox.requests() == []
    with urllib.request.urlopen(inkbox_sandbox.control_url + "/health") as answer:
        assert answer.status == 200

URLS = set()

@pytest.mark.parametrize("turn", [1, 2])
def test_one_server_for_the_session(inkbox_sandbox, turn):
    URLS.add(inkbox_sandbox.base_url)
    assert len(URLS) == 1
"""


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_fixtures_work_without_any_import(pytester: pytest.Pytester, mode: str) -> None:
    mark = "" if mode == "auto" else "@pytest.mark.asyncio"
    options = ("asyncio_default_fixture_loop_scope = function", "filterwarnings = error")
    pytester.makeini("\n".join(("[pytest]", f"asyncio_mode = {mode}", *options)))
    pytester.makepyfile(TESTS.replace("{mark}", mark))
    result = pytester.runpytest_subprocess("-q", "-p", "no:xdist")
    result.assert_outcomes(passed=5)


def test_the_plugin_costs_nothing_where_it_is_not_used(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_nothing_is_loaded():
            assert "inkbox_async.pytest_plugin" in sys.modules
            assert "inkbox_async.sandbox" not in sys.modules
            assert "aiohttp" not in sys.modules
        """
    )
    pytester.runpytest_subprocess("-q").assert_outcomes(passed=1)
