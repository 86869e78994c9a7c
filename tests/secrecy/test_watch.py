"""The watch itself: it sees a secret wherever one can stand, in every form."""

from __future__ import annotations

import base64
import json
import logging
import warnings
from urllib.parse import quote

import pytest

from inkbox_async.generated.models.identities import Domain

from .canaries import Canaries
from .watch import Watch

SECRET = 'canary"é+/value&'
SHOWN = {
    "id": "sending_domain_1",
    "domain": SECRET,
    "status": "verified",
    "is_default": True,
    "verified_at": None,
}


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        f"before{SECRET}after",
        json.dumps({"key": SECRET}),
        json.dumps({"key": SECRET}, ensure_ascii=False),
        repr(SECRET.encode()),
        SECRET.encode().hex(),
        quote(SECRET),
        quote(SECRET, safe=""),
        *(base64.b64encode(b"x" * before + SECRET.encode() + b"y").decode() for before in range(4)),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
    ],
)
def test_every_form_is_recognised(text: str) -> None:
    canaries = Canaries()
    canaries.add("it", SECRET)
    assert canaries.leaks([("here", text)])
    assert not canaries.leaks([("here", "something else")])


def fail(stage: str) -> None:
    try:
        raise KeyError(SECRET if stage == "context" else "fine")
    except KeyError as original:
        error = ValueError(SECRET if stage == "message" else "fine")
        if stage == "note":
            error.add_note(SECRET)
        if stage == "attribute":
            error.about = SECRET  # type: ignore[attr-defined]
        raise error from (original if stage == "cause" else None)


@pytest.mark.parametrize("stage", ["message", "note", "attribute", "context"])
def test_it_looks_at_all_of_an_error(stage: str) -> None:
    watch, canaries = Watch(), Canaries()
    canaries.add("it", SECRET)
    with pytest.raises(ValueError, match=r".") as caught:
        fail(stage)
    watch.error("an error", caught.value)
    assert canaries.leaks(watch.seen)


def test_it_looks_at_the_variables_of_frames() -> None:
    watch, canaries = Watch(), Canaries()
    canaries.add("it", SECRET)
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads(SECRET)
    caught.value.doc = ""
    watch.error("an error", caught.value)
    assert any("variable" in leak for leak in canaries.leaks(watch.seen))


def test_it_looks_at_objects_logs_and_warnings() -> None:
    for number in range(3):
        watch, canaries = Watch(), Canaries()
        canaries.add("it", SECRET)
        with watch.listening():
            if number == 0:
                watch.thing("a list", [{"deep": (Domain.model_validate(SHOWN),)}])
            elif number == 1:
                logging.getLogger("some.library").debug("%s", {"a": SECRET})
            else:
                warnings.warn(SECRET, stacklevel=1)
        assert canaries.leaks(watch.seen)
