"""Threads beyond the specification: the folder that only the server may choose is refused here."""

from __future__ import annotations

from ..generated.models.mail import ThreadFolder
from ..generated.resources import mail as generated
from .checks import checked


def _check_folder(*, folder: object = None, **_: object) -> None:
    if folder == ThreadFolder.BLOCKED:
        raise ValueError(
            "folder='blocked' is assigned by the server alone; move a thread to inbox, spam or archive, "
            "and use a contact rule to block its sender"
        )


class ThreadsResource(generated.ThreadsResource):
    """Mail threads and their folders."""

    update = checked(_check_folder)(generated.ThreadsResource.update)
