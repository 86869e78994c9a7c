"""The watch: everything that a program, a log, a debugger's report or a support ticket could show."""

from __future__ import annotations

import logging
import pickle
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from pydantic import BaseModel

TESTS = str(Path(__file__).resolve().parents[1])
PACKAGE = "inkbox_async"


class Watch(logging.Handler):
    """Collects what was shown, and where."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.seen: list[tuple[str, str]] = []
        self.records = 0
        self.objects: set[str] = set()

    def saw(self, where: str, text: object) -> None:
        """Note a text."""
        self.seen.append((where, str(text)))

    # Errors

    def error(self, where: str, error: BaseException) -> None:
        """Note everything about an error and those behind it, with the variables of every frame."""
        links: list[BaseException | None] = [error]
        seen: set[int] = set()
        while links:
            link = links.pop()
            if link is None or id(link) in seen:
                continue
            seen.add(id(link))
            links += (link.__cause__, link.__context__)
            if isinstance(link, BaseExceptionGroup):
                links += link.exceptions
            self._one_error(f"{where}: {type(link).__name__}", link)

    def _one_error(self, where: str, error: BaseException) -> None:
        for text in (repr(error), str(error), f"{error}", repr(error.args), repr(vars(error))):
            self.saw(where, text)
        self.saw(f"{where}, notes", getattr(error, "__notes__", ""))
        self.saw(f"{where}, traceback", "".join(traceback.format_exception(error, chain=False)))
        with suppress(Exception):  # not everything can be pickled
            self.saw(f"{where}, pickled", pickle.dumps(error).decode("latin-1"))
        for frame, _ in traceback.walk_tb(error.__traceback__):
            self.frame(where, frame)

    def frame(self, where: str, frame: FrameType) -> None:
        """Note the variables of a frame, unless it is one of the tests: they hold the secrets."""
        code = frame.f_code
        if code.co_filename.startswith(TESTS):
            return
        for name, value in list(frame.f_locals.items()):
            self.saw(f"{where}, variable {name} of {code.co_filename}:{code.co_name}", shown(value))

    # Objects

    def thing(self, where: str, thing: object) -> None:
        """Note the reprs of an object and of every object of the package that can be reached from it."""
        waiting: list[tuple[str, object]] = [(where, thing)]
        seen: set[int] = set()
        kept: list[object] = []
        while waiting:
            where, thing = waiting.pop()
            if id(thing) in seen or isinstance(thing, type):
                continue
            seen.add(id(thing))
            kept.append(thing)
            if type(thing).__module__.split(".")[0] == PACKAGE:
                self.objects.add(type(thing).__name__)
                for text in (repr(thing), str(thing), f"{thing}"):
                    self.saw(f"{where}: {type(thing).__name__}", text)
            waiting += ((f"{where}.{name}", part) for name, part in parts(thing))

    # Logs and warnings

    def emit(self, record: logging.LogRecord) -> None:
        """Note a log record, with all that is attached to it."""
        if record.name == "aiohttp.access":
            return  # the servers of the tests
        self.records += 1
        where = f"log of {record.name}"
        self.saw(where, record.getMessage())
        about = {name: value for name, value in vars(record).items() if name not in ("exc_info", "pathname")}
        self.saw(f"{where}, record", shown(about))
        if record.exc_info and record.exc_info[1] is not None:
            self.error(where, record.exc_info[1])

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take everything that is logged, at every level, and every warning."""
        root = logging.getLogger()
        level = root.level
        root.addHandler(self)
        root.setLevel(logging.NOTSET + 1)
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                yield
            for warning in caught:
                self.saw("a warning", warning.message)
        finally:
            root.setLevel(level)
            root.removeHandler(self)


def shown(value: object) -> str:
    """The repr of a value, as tools take it that report variables."""
    try:
        return repr(value)
    except Exception as error:
        return f"<no repr: {type(error).__name__}>"


def parts(thing: object) -> Iterator[tuple[str, Any]]:
    """What can be reached from an object by its attributes and items; Any: everything."""
    if isinstance(thing, Mapping):
        yield from ((str(key), value) for key, value in thing.items())
    elif isinstance(thing, (list, tuple, set, frozenset)):
        yield from ((str(number), value) for number, value in enumerate(thing))
    elif type(thing).__module__.split(".")[0] == PACKAGE:
        yield from vars(thing).items() if hasattr(thing, "__dict__") else ()
        for cls in type(thing).__mro__:
            slots = vars(cls).get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                if not name.startswith("__") and hasattr(thing, name):
                    yield name, getattr(thing, name)
        if isinstance(thing, BaseModel):
            yield from (thing.model_extra or {}).items()
