"""E-mails of SNS topics as files: .local/outbox/<time>-<topic>.eml, readable by eye and by any mail program."""

import itertools
import re
import time
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path

_counter = itertools.count()


class Outbox:
    """Writes one RFC 822 message per address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def deliver(self, topic_arn: str, subject: str, message: str, addresses: list[str]) -> None:
        for address in addresses:
            mail = EmailMessage()
            mail["From"] = "AWS Notifications <no-reply@sns.amazonaws.com>"
            mail["To"] = address
            mail["Subject"] = re.sub(r"\s+", " ", subject or "AWS Notification Message")
            mail["Date"] = format_datetime(datetime.now(UTC))
            mail["X-Topic"] = topic_arn
            mail.set_content(message, cte="8bit")
            self._write(topic_arn.rpartition(":")[2], mail)

    def _write(self, topic: str, mail: EmailMessage) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{next(_counter):04d}-{topic}.eml"
        partial = self._folder / f".{name}.partial"
        partial.write_bytes(mail.as_bytes(policy=policy.SMTPUTF8.clone(linesep="\n", max_line_length=0)))
        partial.rename(self._folder / name)
