"""Errors that a person can act on: where, what is wrong, and the way out."""

from collections.abc import Iterable


class EtlError(Exception):
    """A run cannot go on. Nothing that it had not published yet becomes visible."""

    def __init__(self, *, where: str, what: str, way_out: str) -> None:
        # What a database or a library says may end in a full stop of its own.
        self.where, self.what, self.way_out = where, what.rstrip(" ."), way_out
        super().__init__(f"{where}: {self.what}. {way_out}")


class EtlErrors(Exception):  # noqa: N818  # the plural of EtlError
    """Several errors of one stage, reported together."""

    def __init__(self, errors: Iterable[EtlError]) -> None:
        self.errors = tuple(errors)
        super().__init__("; ".join(str(error) for error in self.errors))


def one_or_many(errors: list[EtlError]) -> EtlError | EtlErrors:
    """The exception to raise for a non-empty list of errors."""
    return errors[0] if len(errors) == 1 else EtlErrors(errors)
