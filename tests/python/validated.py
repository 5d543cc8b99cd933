"""Any application, with `wsgiref.validate` between it and its server.

    VALIDATED=flask_app:app VALIDATED_COMPLAINTS=/tmp/complaints gunicorn validated:application

The wrapper complains by AssertionErrors, which end in a log that nobody reads,
and of what is not closed to nobody at all. So each complaint is also a line in
VALIDATED_COMPLAINTS.
"""

import importlib
import os
import traceback
from wsgiref import validate

COMPLAINTS = os.environ["VALIDATED_COMPLAINTS"]


def complain(what):
    with open(COMPLAINTS, "a") as file:
        file.write(what.replace("\n", " ") + "\n")


class Watched(validate.IteratorWrapper):
    """Says also what is said in `__next__` and `__del__`."""

    def __next__(self):
        try:
            return super().__next__()
        except AssertionError as error:
            complain(traceback.format_exc())
            raise error

    def __del__(self):
        if not self.closed:
            complain("the iterable was not closed")


validate.IteratorWrapper = Watched


class Input(validate.InputWrapper):
    """The wrapper has no read() without an argument, which PEP 3333 says a server should allow."""

    def read(self, *args):
        return super().read(*args) if args else super().read(-1)


validate.InputWrapper = Input

# Whether there is a Content-Type is between an application and its clients. Flask
# says one of answers that have no content.
validate.check_content_type = lambda status, headers: None

module, _, name = os.environ["VALIDATED"].partition(":")
inner = validate.validator(getattr(importlib.import_module(module), name or "application"))


def application(*args):
    try:
        return inner(*args)
    except AssertionError:
        complain(traceback.format_exc())
        raise
