"""An agent logs in somewhere: it unlocks the vault and uses a password and a one-time code.

    python examples/vault_login.py

Runs on a local Inkbox. The server stores what it cannot read: names, ciphertext, and who may have it.
"""

from __future__ import annotations

import asyncio

from inkbox_async import AgentIdentity, AsyncInkbox, LoginPayload, generate_totp, parse_totp_uri
from inkbox_async.sandbox import Sandbox

VAULT_KEY = "correct-Horse-battery-9!"
TOTP = "otpauth://totp/Shop:support@example.com?secret=JBSWY3DPEHPK3PXP&issuer=Shop"


async def store_login(owner: AsyncInkbox, identity: AgentIdentity) -> None:
    """The owner seals a login in the vault and lets the agent have it."""
    result = await owner.vault.initialize(VAULT_KEY)
    print(f"The owner makes a vault, with {len(result.recovery_codes)} recovery codes for the safe")
    await owner.vault.unlock(VAULT_KEY)
    secret = await identity.create_secret(
        "Shop", LoginPayload(username="support@example.com", password="s3cret", totp=parse_totp_uri(TOTP))
    )
    print(f"and seals a login in it: {secret.name!r}, which @{identity.agent_handle} may use")


async def log_in(identity: AgentIdentity) -> None:
    """The agent finds its login and gets past both questions of the shop."""
    [entry] = identity.credentials.list_logins()
    login = identity.credentials.get_login(entry.id)
    code = await identity.get_totp_code(entry.id)
    print(f"The agent unlocks the vault and finds {entry.name!r}: {login!r}")
    print(f"It types {login.username}, its password, and {code.code} (good for {code.seconds_remaining} s)")

    the_shops_own = generate_totp(parse_totp_uri(TOTP), at=code.period_start)
    print(f"The shop says: {'welcome!' if code.code == the_shops_own.code else 'try again'}")


async def main() -> None:
    """Runs the owner's part, then the agent's, on a sandbox."""
    async with Sandbox() as sandbox, sandbox.client() as owner:
        created = await owner.create_identity("shopper")
        await store_login(owner, created)
        key = await owner.api_keys.create(label="shopper", scoped_identity_id=created.id)
        async with AsyncInkbox(key.api_key, base_url=sandbox.base_url, vault_key=VAULT_KEY) as inkbox:
            await log_in(await inkbox.get_identity("shopper"))


if __name__ == "__main__":
    asyncio.run(main())
