"""What a request must pass before anything is done: whose it is, whether iMessage is on, who is connected."""

from __future__ import annotations

from sqlite3 import Row
from uuid import UUID

from inkbox_async.sandbox.handling import ApiError, Call, not_found
from inkbox_async.sandbox.visibility import identity_row

_CONVERSATION = (
    "SELECT c.*, a.status AS assignment_status FROM imessage_conversations AS c "
    "JOIN identities AS i ON i.id = c.identity_id "
    "JOIN imessage_assignments AS a ON a.id = c.assignment_id "
    "WHERE i.organization_id = ? AND i.status <> 'deleted' AND (? IS NULL OR c.identity_id = ?)"
)


def named_identity(call: Call, identity_id: UUID | None) -> Row | None:
    """The identity that a request names, or that the key belongs to; None: any of the organization.

    Raises:
        ApiError: 403 when an agent names another identity, 404 when there is none with that id, 400 when
            iMessage is not enabled for the one that is named.
    """
    if identity_id is None:
        own = call.caller.identity_id
        return None if own is None else identity_row(call, own)
    refuse_other_identity(call, identity_id)
    identity = identity_row(call, str(identity_id))
    check_enabled(identity)
    return identity


def refuse_other_identity(call: Call, identity_id: UUID | None) -> None:
    """403 when an agent names another identity than its own."""
    if identity_id is not None and not call.caller.may_touch(str(identity_id)):
        raise ApiError(403, "An agent's API key may name its own identity only.")


def check_enabled(identity: Row) -> None:
    """400 unless people may connect to the identity."""
    if not identity["imessage_enabled"]:
        raise ApiError(
            400, f"iMessage is not enabled for @{identity['agent_handle']}. Set imessage_enabled to true."
        )


def conversation_of(call: Call, conversation_id: UUID | str, identity_id: UUID | None = None) -> Row:
    """A conversation that the caller may see, with its `assignment_status`.

    Args:
        call: The request.
        conversation_id: Id of the conversation.
        identity_id: The identity that it has to belong to, where the request names one.

    Raises:
        ApiError: 404 when there is none, 403 when an agent names another identity.
    """
    refuse_other_identity(call, identity_id)
    wanted = call.caller.identity_id if identity_id is None else str(identity_id)
    row = call.tx.one(
        f"{_CONVERSATION} AND c.id = ?", call.caller.organization_id, wanted, wanted, conversation_id
    )
    if row is None:
        raise not_found("Conversation")
    return row


def open_conversation(call: Call, conversation_id: UUID | str) -> tuple[Row, Row]:
    """A conversation in which the agent can act now, and the agent's identity.

    Raises:
        ApiError: 404 when there is none, 400 when iMessage is not enabled, 409 when the person is not
            connected any more.
    """
    conversation = conversation_of(call, conversation_id)
    identity = identity_row(call, conversation["identity_id"])
    check_enabled(identity)
    if conversation["assignment_status"] != "active":
        raise not_connected_any_more(identity, conversation["remote_number"])
    return conversation, identity


def not_connected_any_more(identity: Row, number: str) -> ApiError:
    """409 for a person who has ended the connection."""
    message = (
        f"{number} is not connected with @{identity['agent_handle']} any more, and has to connect again."
    )
    return ApiError(409, {"error": "imessage_assignment_inactive", "message": message})
