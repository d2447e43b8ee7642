"""A place in the tokens of DQDL text, moved forward by whoever reads them."""

from __future__ import annotations

from etl_model.dqdl_tokens import DqdlError, Kind, Token


class Cursor:
    """The tokens of a text and the position of the next one to read. The last token has kind END."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self.position = 0

    @property
    def token(self) -> Token:
        """The next token."""
        return self._tokens[self.position]

    @property
    def following(self) -> Token:
        """The token after the next."""
        return self._tokens[min(self.position + 1, len(self._tokens) - 1)]

    def advance(self) -> Token:
        """The next token, which is then behind the cursor."""
        token = self.token
        if token.kind is not Kind.END:
            self.position += 1
        return token

    def take(self, text: str) -> bool:
        """Whether the next token is this symbol or word; if so, moves past it."""
        if self.token.kind is Kind.STRING or self.token.text != text:
            return False
        self.advance()
        return True

    def expect(self, text: str, allowed: str) -> None:
        """Moves past this symbol or word; raises DqdlError when another token stands here."""
        if not self.take(text):
            raise self.error(f"{self.token} stands where {text} is expected", allowed)

    def expect_string(self, shape: str) -> Token:
        """The quoted string that stands here, passed; raises DqdlError when there is none."""
        if self.token.kind is not Kind.STRING:
            raise self.error(f"{self.token} stands where a quoted string is expected", f"write: {shape}")
        return self.advance()

    def since(self, start: int) -> list[Token]:
        """The tokens from a position up to the cursor."""
        return self._tokens[start : self.position]

    def error(self, what: str, allowed: str) -> DqdlError:
        """The error of a mistake at the next token."""
        return DqdlError.at(self.token, what, allowed)

    def skip_to_end_of_rule(self, start: Token) -> None:
        """Moves to the comma or ] that ends the rule begun at `start`, so that the next rule is read as well."""
        self.position = self._tokens.index(start)
        depth = 0
        while self.token.kind is not Kind.END:
            text = self.token.text
            if depth == 0 and text in (",", "]"):
                return
            depth += (text in ("(", "[")) - (text in (")", "]"))
            depth = max(depth, 0)
            self.advance()
