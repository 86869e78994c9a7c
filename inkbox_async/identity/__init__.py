"""AgentIdentity: what one agent is and can do, in one object."""

from __future__ import annotations

from ..generated.identity.identities import IdentitiesHelpers
from ..generated.identity.imessage import ImessageHelpers as GeneratedIMessageHelpers
from ..generated.identity.mail import MailHelpers as GeneratedMailHelpers
from ..generated.identity.phone import PhoneHelpers as GeneratedPhoneHelpers
from ..vault.identity import IdentityVault
from .base import IdentityBase
from .imessage import IMessageHelpers
from .mail import MailHelpers
from .phone import PhoneHelpers

__all__ = ["AgentIdentity"]


class AgentIdentity(
    MailHelpers,
    GeneratedMailHelpers,
    PhoneHelpers,
    GeneratedPhoneHelpers,
    IMessageHelpers,
    GeneratedIMessageHelpers,
    IdentityVault,
    IdentitiesHelpers,
    IdentityBase,
):
    """One agent identity: its address, its channels, and everything it does with them.

    Comes from `create_identity` and `get_identity`. Attributes are what the server last said; `refresh`
    asks again. Methods of a channel raise `InkboxError` before anything is sent when the identity does not
    have that channel.

    Example:
        ```python
        async with AsyncInkbox() as inkbox:
            identity = await inkbox.get_identity("sales-agent")
            await identity.send_email(to=["ada@example.com"], subject="Hello", body_text="Hi Ada!")
        ```
    """
