"""The checks of a pipeline's tables, registered with Glue Data Quality as well."""

from aws_cdk import aws_glue as glue
from constructs import Construct

from etl_model.names import Names
from etl_model.pipeline import Pipeline


class DataQualityRulesets(Construct):
    """One ruleset a table that has checks. Without target tables: those exist only after the first run."""

    def __init__(self, scope: Construct, id: str, *, names: Names, pipeline: Pipeline) -> None:
        super().__init__(scope, id)
        for table in pipeline.tables:
            if table.checks:
                glue.CfnDataQualityRuleset(
                    self,
                    f"Ruleset{table.name}",
                    name=names.ruleset(pipeline.name, table.name),
                    description=f"Checks of {pipeline.name}.{table.name}",
                    ruleset=table.checks.strip(),
                )
