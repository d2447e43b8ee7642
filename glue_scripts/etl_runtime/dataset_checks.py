"""Rules about a table as a whole, judged on the branch before it is published."""

from pyspark.sql import DataFrame

from etl_model.pipeline import Table
from etl_runtime.context import RunContext
from etl_runtime.errors import EtlError
from etl_runtime.quality import QualityRuleError, dataset_outcomes


def check_dataset(context: RunContext, table: Table, branch: DataFrame) -> None:
    """Notes the outcome of every dataset rule; EtlError when one fails, before anything is published."""
    rules = table.ruleset.dataset_rules
    if not rules:
        return
    try:
        outcomes = dataset_outcomes(branch, rules, now=context.started_at)
    except QualityRuleError as error:
        raise EtlError(
            where=f"table {table.name} checks", what=str(error), way_out="Correct the checks in the pipeline file"
        ) from error
    for outcome in outcomes:
        context.report.checks.append(
            {
                "table": table.name,
                "rule": outcome.rule,
                "outcome": outcome.outcome,
                "failed_rows": outcome.failed_rows,
                "observed": outcome.observed,
                "sample": [],
            }
        )
    failed = [f"{outcome.rule} ({outcome.observed})" for outcome in outcomes if outcome.outcome == "failed"]
    if failed:
        raise EtlError(
            where=f"table {table.name} checks",
            what=f"the table as a whole fails: {'; '.join(failed)}",
            way_out="Nothing was published. Correct the source or the rule, then start a new run",
        )
