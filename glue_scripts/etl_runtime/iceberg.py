"""Iceberg tables through the Java API that Spark carries: what SQL cannot do in one fenced commit.

State moves only together with a fast-forward of `main` in the same transaction: the fast-forward is what fences. A
transaction that only sets properties would be re-applied to whatever it finds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql.types import StructType

from etl_runtime.errors import EtlError
from etl_runtime.session import CATALOG

TAG_AGE_MS = 30 * 24 * 3600 * 1000
# Retrying a commit inside Iceberg would re-apply our state to somebody else's table: we look before we try again.
TABLE_PROPERTIES = {
    "format-version": "2",
    "write.parquet.compression-codec": "zstd",
    "write.delete.mode": "merge-on-read",
    "write.update.mode": "merge-on-read",
    "write.merge.mode": "merge-on-read",
    "commit.retry.num-retries": "0",
    "write.distribution-mode": "none",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "50",
}


@dataclass(frozen=True)
class DataFile:
    """A Parquet file to be committed: its s3:// path and the rows that it holds."""

    path: str
    rows: int


def quoted(name: str) -> str:
    """A name as Spark SQL takes it verbatim."""
    return "`" + name.replace("`", "``") + "`"


def full_name(table: str) -> str:
    """`database.table` as Spark SQL takes it."""
    database, _, name = table.partition(".")
    return f"{CATALOG}.{quoted(database)}.{quoted(name)}"


def branch_of(run_id: str) -> str:
    return "run_" + "".join(character if character.isalnum() else "_" for character in run_id)


def branch_name(table: str, branch: str) -> str:
    """A branch by name: the session-wide spark.wap.branch cannot serve several tables in threads."""
    return f"{full_name(table)}.{quoted('branch_' + branch)}"


class Lake:
    """The tables of the Glue catalog, by `database.table`."""

    def __init__(self, spark: SparkSession) -> None:
        self.spark = spark
        self._jvm: Any = spark._jvm
        manager = spark._jsparkSession.sessionState().catalogManager()
        self._catalog: Any = manager.catalog(CATALOG).icebergCatalog()

    def _identifier(self, table: str) -> Any:
        database, _, name = table.partition(".")
        namespace = self._jvm.org.apache.iceberg.catalog.Namespace
        gateway: Any = self.spark.sparkContext._gateway
        array = gateway.new_array(self._jvm.java.lang.String, 1)
        array[0] = database
        return self._jvm.org.apache.iceberg.catalog.TableIdentifier.of(namespace.of(array), name)

    def load(self, table: str) -> Any | None:
        """The Java table, or None when the catalog has none."""
        try:
            return self._catalog.loadTable(self._identifier(table))
        except Py4JJavaError as error:
            if "NoSuchTableException" in error.java_exception.getClass().getName():
                return None
            raise

    def require(self, table: str) -> Any:
        found = self.load(table)
        if found is None:
            raise EtlError(
                where=table, what="the table does not exist", way_out="Run the pipeline from its first stage"
            )
        return found

    def properties(self, table: str) -> dict[str, str] | None:
        """The table's properties, or None when there is no such table."""
        found = self.load(table)
        return None if found is None else dict(found.properties())

    def columns(self, table: str) -> list[tuple[str, str]]:
        """(name, type as Spark's simple string) of each column."""
        return [
            (field.name, field.dataType.simpleString()) for field in self.spark.table(full_name(table)).schema.fields
        ]

    def create(self, table: str, schema: StructType, *, partition_by: Sequence[str] = (), location: str) -> None:
        columns = ", ".join(f"{quoted(field.name)} {field.dataType.simpleString()}" for field in schema.fields)
        partitions = f" PARTITIONED BY ({', '.join(partition_by)})" if partition_by else ""
        properties = ", ".join(f"'{key}'='{value}'" for key, value in TABLE_PROPERTIES.items())
        self.spark.sql(
            f"CREATE TABLE IF NOT EXISTS {full_name(table)} ({columns}) USING iceberg{partitions} "
            f"LOCATION '{location}' TBLPROPERTIES ({properties})"
        )

    def add_columns(self, table: str, columns: Iterable[tuple[str, str]]) -> None:
        """Additive evolution, one metadata commit."""
        added = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns)
        if added:
            self.spark.sql(f"ALTER TABLE {full_name(table)} ADD COLUMNS ({added})")

    def field_ids(self, table: str) -> dict[str, int]:
        fields = self.require(table).schema().columns()
        return {field.name(): field.fieldId() for field in fields}

    def drop_branch(self, table: str, branch: str) -> None:
        """Removes what an interrupted attempt left; does nothing when there is nothing."""
        found = self.load(table)
        if found is not None and branch in found.refs():
            found.manageSnapshots().removeBranch(branch).commit()

    def start_branch(self, table: str, branch: str) -> None:
        """A fresh branch at the head of main; a leftover of the same name is dropped first."""
        found = self.require(table)
        if branch in found.refs():
            found.manageSnapshots().removeBranch(branch).commit()
            found.refresh()
        head, refs = found.currentSnapshot(), found.manageSnapshots()
        (refs.createBranch(branch) if head is None else refs.createBranch(branch, head.snapshotId())).commit()

    def _append(
        self, transaction: Any, table: Any, files: Sequence[DataFile], branch: str, summary: Mapping[str, str]
    ) -> None:
        iceberg = self._jvm.org.apache.iceberg
        append = transaction.newAppend().toBranch(branch)
        config = iceberg.MetricsConfig.forTable(table)
        for file in files:
            source = table.io().newInputFile(file.path)
            metrics = iceberg.parquet.ParquetUtil.fileMetrics(source, config)
            if metrics.recordCount() != file.rows:
                raise EtlError(
                    where=file.path,
                    what=f"it holds {metrics.recordCount()} rows, and {file.rows} were written",
                    way_out="Nothing was committed; run the pipeline again",
                )
            builder = iceberg.DataFiles.builder(table.spec()).withInputFile(source).withFormat("PARQUET")
            append.appendFile(builder.withMetrics(metrics).build())
        for key, value in summary.items():
            append.set(key, value)
        append.commit()

    def append_and_publish(
        self,
        table: str,
        branch: str,
        files: Sequence[DataFile],
        *,
        after: Mapping[str, str | None],
        state: Mapping[str, str],
        summary: Mapping[str, str],
    ) -> None:
        """Exactly the listed files and the new state, in one fenced commit, on a table whose properties are `after`."""
        self.drop_branch(table, branch)
        found = self.require(table)
        properties = dict(found.properties())
        if any(properties.get(key) != value for key, value in after.items()):
            raise EtlError(
                where=table,
                what="another run has written it since this one looked",
                way_out="Start a new run instead of resuming this one",
            )
        transaction = found.newTransaction()
        refs, head = transaction.manageSnapshots(), found.currentSnapshot()
        (refs.createBranch(branch) if head is None else refs.createBranch(branch, head.snapshotId())).commit()
        self._append(transaction, found, files, branch, summary)
        self._publish(table, transaction, branch, state, tag=None)

    def publish_branch(self, table: str, branch: str, *, state: Mapping[str, str], tag: str | None) -> None:
        """The audited branch becomes main and the state moves with it, or nothing happens."""
        self._publish(table, self.require(table).newTransaction(), branch, state, tag)

    def _publish(self, table: str, transaction: Any, branch: str, state: Mapping[str, str], tag: str | None) -> None:
        try:
            properties = transaction.updateProperties()
            for key, value in state.items():
                properties = properties.set(key, value)
            properties.commit()
            head = transaction.table().refs()[branch].snapshotId()
            # The branch goes before the tag comes: they may have one name.
            refs = transaction.manageSnapshots().fastForwardBranch("main", branch).removeBranch(branch)
            if tag:
                refs = refs.createTag(tag, head).setMaxRefAgeMs(tag, TAG_AGE_MS)
            refs.commit()
            transaction.commitTransaction()
        except (Py4JJavaError, PySparkException) as error:
            # The answer may be lost although the commit landed: what the table says decides.
            now = self.properties(table) or {}
            if all(now.get(key) == value for key, value in state.items()):
                return
            text = str(getattr(error, "java_exception", None) or error).strip().splitlines()[0]
            raise EtlError(
                where=table,
                what=f"its commit was refused, since the table has moved on ({text[:300]})",
                way_out="Another run or a maintenance has written it; `etl resume` prepares this run's changes anew",
            ) from error

    def files(self, table: str, ref: str = "main") -> tuple[list[DataFile], bool]:
        """(data files of the ref's snapshot, whether any of them has delete files)."""
        scan = self.require(table).newScan()
        found: list[DataFile] = []
        deletes = False
        snapshot = self.require(table).refs().get(ref)
        if snapshot is None:
            return found, deletes
        tasks = scan.useSnapshot(snapshot.snapshotId()).planFiles()
        try:
            iterator = tasks.iterator()
            while iterator.hasNext():
                task = iterator.next()
                deletes = deletes or task.deletes().size() > 0
                found.append(DataFile(path=str(task.file().path()), rows=task.file().recordCount()))
        finally:
            tasks.close()
        return found, deletes
