"""A configuration that cannot be used, said so that its author can mend it: where, what, the way out, all at once."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing to mend: `where` (file:line, key), `what` is wrong, and the `way_out`."""

    where: str
    what: str
    way_out: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}. {self.way_out}" if self.way_out else f"{self.where}: {self.what}"


class ConfigurationError(ValueError):
    """Every problem found in the configuration, not just the first."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(problems)
        lines = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"{len(problems)} problem(s) in the configuration:\n{lines}")
