"""Notes beyond the specification: a text that cannot be taken away, and grants as a part of notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..generated.resources import notes as generated
from ..unset import UNSET
from .checks import checked

if TYPE_CHECKING:
    from ..transport import Transport


def _check_update(*, body: object = UNSET, **_: object) -> None:
    if body is None:
        raise ValueError("body cannot be cleared; leave it out to keep it, or delete the note")


class NotesResource(generated.NotesResource):
    """Free-form texts of the organization. An identity sees the notes that it was granted.

    Attributes:
        access: Which identities may see a note.
    """

    update = checked(_check_update)(generated.NotesResource.update)

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport)
        self.access = generated.NoteAccessResource(transport)
