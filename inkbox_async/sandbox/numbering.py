"""Phone numbers to hand out: one area code for each US state, and numbers that ring nowhere."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from .handling import ApiError, invalid
from .store import Tx

AREA_CODES = {
    "AL": "205", "AK": "907", "AZ": "602", "AR": "501", "CA": "415", "CO": "303", "CT": "203", "DE": "302",
    "DC": "202", "FL": "305", "GA": "404", "HI": "808", "ID": "208", "IL": "312", "IN": "317", "IA": "515",
    "KS": "316", "KY": "502", "LA": "504", "ME": "207", "MD": "301", "MA": "617", "MI": "313", "MN": "612",
    "MS": "601", "MO": "314", "MT": "406", "NE": "402", "NV": "702", "NH": "603", "NJ": "201", "NM": "505",
    "NY": "212", "NC": "704", "ND": "701", "OH": "216", "OK": "405", "OR": "503", "PA": "215", "RI": "401",
    "SC": "803", "SD": "605", "TN": "615", "TX": "512", "UT": "801", "VT": "802", "VA": "804", "WA": "206",
    "WV": "304", "WI": "414", "WY": "307",
}  # fmt: skip
DEFAULT_STATE = "CA"
TOLL_FREE_CODE = "888"


def free_number(tx: Tx, kind: str, state: str | None, *, location: Sequence[str]) -> tuple[str, str | None]:
    """A number nobody has, in E.164, and its state: in the 555 exchange, which is kept for fiction.

    Args:
        tx: The transaction.
        kind: `local` or `toll_free`.
        state: Two letters; None takes one for a local number.
        location: Where kind and state stand in the request, for error messages.

    Raises:
        ApiError: 422 for another kind or an unknown state.
    """
    if kind == "toll_free":
        if state is not None:
            raise invalid("A toll-free number belongs to no state", *location, "state")
        return _free_in(tx, TOLL_FREE_CODE), None
    if kind != "local":
        raise invalid("Input should be 'local' or 'toll_free'", *location, "type")
    state = DEFAULT_STATE if state is None else state.upper()
    if state not in AREA_CODES:
        raise invalid(f"{state!r} is not a US state", *location, "state")
    return _free_in(tx, AREA_CODES[state]), state


def _free_in(tx: Tx, area_code: str) -> str:
    prefix = f"+1{area_code}555"
    taken = {
        row["number"] for row in tx.all("SELECT number FROM phone_numbers WHERE number LIKE ?", prefix + "%")
    }
    free = [number for line in range(10_000) if (number := f"{prefix}{line:04}") not in taken]
    if not free:
        raise ApiError(429, "There are no numbers left there. Ask for another state.")
    return secrets.choice(free)
