"""What went wrong, as a person can act on it: where, what and the way out; and the exit code for scripts."""

from urllib.parse import urlsplit

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

from etl_model.environment import LOOPBACK
from etl_model.problems import Problem

EXIT_SUCCESS, EXIT_FAILED_RUN, EXIT_USAGE, EXIT_BUSY, EXIT_INTERRUPTED = 0, 1, 2, 3, 130

_SIGN_IN = "Sign in to the account (aws sso login, AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)"
_BAD_CREDENTIALS = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch",
}
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "KMSAccessDeniedException"}


class OperationError(Exception):
    """The command cannot do what was asked. `problems` say why; `exit_code` is the command's."""

    def __init__(self, problems: list[Problem], *, exit_code: int = EXIT_USAGE) -> None:
        self.problems = tuple(problems)
        self.exit_code = exit_code
        super().__init__("; ".join(str(problem) for problem in problems))


def failure(where: str, what: str, way_out: str, *, exit_code: int = EXIT_USAGE) -> OperationError:
    """An OperationError of one problem."""
    return OperationError([Problem(where, what, way_out)], exit_code=exit_code)


def error_code(error: ClientError) -> str:
    """The service's code of an error, such as EntityNotFoundException."""
    return str(error.response.get("Error", {}).get("Code", "Unknown"))


def explain(error: BotoCoreError | ClientError) -> OperationError:
    """An error of boto3 in words: credentials, network, permissions, or the service's own message."""
    if isinstance(error, ClientError):
        return _explain_answer(error)
    if isinstance(error, ConnectionError | HTTPClientError):
        return _explain_no_answer(error)
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return failure("AWS credentials", "none were found", _SIGN_IN)
    if isinstance(error, SSOError | TokenRetrievalError | CredentialRetrievalError | ProfileNotFound):
        return failure("AWS credentials", _first_line(error), _SIGN_IN)
    return failure("AWS", _first_line(error), "Correct what it names and repeat the command")


def _explain_answer(error: ClientError) -> OperationError:
    code = error_code(error)
    message = str(error.response.get("Error", {}).get("Message", "")).strip().rstrip(".") or code
    if code in _BAD_CREDENTIALS:
        return failure("AWS credentials", f"AWS refuses them ({code}): {message}", _SIGN_IN)
    if code in _DENIED:
        return failure(
            error.operation_name, f"not allowed: {message}", "Use a role that may do this, or have it granted"
        )
    return failure(error.operation_name, f"{code}: {message}", "Correct what it names and repeat the command")


def _explain_no_answer(error: ConnectionError | HTTPClientError) -> OperationError:
    # The classes' keyword arguments are their only record of the address that did not answer.
    endpoint = str(getattr(error, "kwargs", {}).get("endpoint_url") or "")
    if urlsplit(endpoint).hostname in LOOPBACK:
        return failure("local cloud", f"nothing answers at {_origin(endpoint)}", "Start it with: etl local start")
    what = f"no answer from {_origin(endpoint)}" if endpoint else _first_line(error)
    return failure("network", what, "Check the network, a proxy (HTTPS_PROXY) and the region in the environment file")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
