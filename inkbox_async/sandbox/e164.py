"""Phone numbers as the wire has them: E.164, a plus sign and at most 15 digits (ITU-T E.164)."""

from __future__ import annotations

import re

from .handling import invalid

_E164 = re.compile(r"\+[1-9]\d{6,14}", re.ASCII)


def is_e164(text: str) -> bool:
    """Whether a text is a phone number in E.164 form, such as `+15550100400`."""
    return _E164.fullmatch(text) is not None


def check_number(text: str, *location: str | int) -> str:
    """The number itself.

    Args:
        text: What is given as a number.
        location: Where it stands in the request, for the error.

    Raises:
        ApiError: 422 when it is not in E.164 form.
    """
    if not is_e164(text):
        raise invalid("Give a phone number in E.164 form, such as +15550100400", *location)
    return text


def number_target(_match_type: str, match_target: str) -> str:
    """The target of a contact rule for phone numbers.

    Raises:
        ValueError: It is not in E.164 form.
    """
    if not is_e164(match_target):
        raise ValueError("give a phone number in E.164 form, such as +15550100400")
    return match_target
