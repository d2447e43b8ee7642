from aws_cdk import Stack

from etl_constructs.glue_connection import GlueConnection
from etl_model.connections import parse_glue_connection
from etl_model.environment import PostgreSQLConnection, SnowflakeConnection
from etl_model.names import Names
from tests.constructs.conftest import properties

ERP = PostgreSQLConnection(kind="postgresql", host="erp.example.com", database="erp", secret="etl/test/erp")
SNOWFLAKE = SnowflakeConnection(
    kind="snowflake",
    account="example-test",
    warehouse="ETL",
    role="LOADER",
    secret="etl/test/snowflake",
    storage_integration="S3",
)


def test_jobs_read_back_the_connection_that_was_deployed(stack: Stack, names: Names) -> None:
    GlueConnection(stack, "Erp", names=names, name="erp", connection=ERP)
    GlueConnection(stack, "Snowflake", names=names, name="snowflake", connection=SNOWFLAKE)
    found = {
        each["ConnectionInput"]["Name"]: each["ConnectionInput"] for each in properties(stack, "AWS::Glue::Connection")
    }
    for name, connection in (("etl-test-erp", ERP), ("etl-test-snowflake", SNOWFLAKE)):
        deployed = found[name]
        assert parse_glue_connection(deployed["ConnectionType"], deployed["ConnectionProperties"]) == connection


def test_a_source_connection_holds_the_secrets_name_and_no_subnet(stack: Stack, names: Names) -> None:
    """A job takes one subnet, that of the network connection; a second one would be refused."""
    GlueConnection(stack, "Erp", names=names, name="erp", connection=ERP)
    (deployed,) = properties(stack, "AWS::Glue::Connection")
    assert deployed["ConnectionInput"]["ConnectionProperties"]["SECRET_ID"] == "etl/test/erp"
    assert "PhysicalConnectionRequirements" not in deployed["ConnectionInput"]
