"""The environment file: where pipelines run, and nothing of what moves. See environments/."""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Strict(BaseModel):
    """Unknown keys are errors, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PostgreSQLConnection(Strict):
    """A PostgreSQL database; its secret holds {"username", "password"}."""

    kind: Literal["postgresql"]
    host: str = Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9_.:-]+$")
    port: int = Field(default=5432, ge=1, le=65535)
    database: str = Field(min_length=1, max_length=63, pattern=r"^[^/?#&\s]+$")
    secret: str = Field(min_length=1, max_length=512)
    network: Literal["private", "nat", "privatelink"] = "private"
    tls: Literal["verify-full", "disable"] = "verify-full"

    @model_validator(mode="after")
    def _clear_text_only_on_this_machine(self) -> "PostgreSQLConnection":
        if self.tls == "disable" and self.host not in LOOPBACK:
            raise ValueError(
                f"tls: disable is allowed for {', '.join(LOOPBACK)} only, not for {self.host}; use verify-full"
            )
        return self


class SnowflakeConnection(Strict):
    """A Snowflake account; its secret holds {"user", "private_key"} (PEM)."""

    kind: Literal["snowflake"]
    account: str = Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9_.-]+$")
    warehouse: str = Field(min_length=1, max_length=255)
    role: str = Field(min_length=1, max_length=255)
    secret: str = Field(min_length=1, max_length=512)
    network: Literal["nat", "privatelink", "private"] = "nat"
    storage_integration: str | None = Field(default=None, description="None: stages are plain, as in the local cloud")
    host: str | None = Field(default=None, description="Only where it does not follow from the account")
    port: int = Field(default=443, ge=1, le=65535)
    protocol: Literal["https", "http"] = "https"

    @model_validator(mode="after")
    def _reachable_and_encrypted(self) -> "SnowflakeConnection":
        if self.protocol == "http" and self.host not in LOOPBACK:
            raise ValueError(
                f"protocol: http is allowed for {', '.join(LOOPBACK)} only, not for {self.host}; use https"
            )
        if self.network == "privatelink" and self.host is None:
            raise ValueError(
                "host is missing: over PrivateLink an account has a name of its own (ACCOUNT.privatelink.…)"
            )
        if self.storage_integration is None and self.protocol == "https":
            raise ValueError("storage_integration is missing: Snowflake reads the lake's files through it")
        return self


Connection = Annotated[PostgreSQLConnection | SnowflakeConnection, Field(discriminator="kind")]


class CreateVpc(Strict):
    """A VPC of its own: one private subnet per zone; NAT gateways only where a connection needs them."""

    cidr: str = Field(pattern=r"^\d{1,3}(\.\d{1,3}){3}/\d{1,2}$")
    availability_zones: list[str] = Field(min_length=1, max_length=6)
    nat_gateways: int = Field(default=0, ge=0, le=6)


class ImportVpc(Strict):
    """A VPC that exists, named in full so that synth needs no look-up."""

    vpc_id: str = Field(pattern=r"^vpc-[0-9a-f]+$")
    cidr: str = Field(pattern=r"^\d{1,3}(\.\d{1,3}){3}/\d{1,2}$")
    availability_zones: list[str] = Field(min_length=1, max_length=6)
    private_subnet_ids: list[str] = Field(min_length=1, max_length=6)
    private_route_table_ids: list[str] = Field(min_length=1, max_length=6)
    has_nat: bool = False
    create_endpoints: bool = True

    @model_validator(mode="after")
    def _one_subnet_and_table_per_zone(self) -> "ImportVpc":
        zones = len(self.availability_zones)
        if len(self.private_subnet_ids) != zones or len(self.private_route_table_ids) != zones:
            raise ValueError(
                "private_subnet_ids and private_route_table_ids need one entry for each availability zone, in order"
            )
        return self


class Network(Strict):
    """How jobs reach what they read: exactly one of `create` and `import`."""

    create: CreateVpc | None = None
    import_: ImportVpc | None = Field(default=None, alias="import")
    s3_prefix_list_id: str = Field(
        pattern=r"^pl-[0-9a-f]+$", description="Of the region; given, since synth looks nothing up"
    )
    privatelink_services: dict[str, str] = Field(
        default_factory=dict, description="Connection name to VPC endpoint service name, for network: privatelink"
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> "Network":
        if (self.create is None) == (self.import_ is None):
            raise ValueError("give exactly one of `create` and `import`")
        return self

    @property
    def has_nat(self) -> bool:
        return self.create.nat_gateways > 0 if self.create else bool(self.import_ and self.import_.has_nat)


class Retention(Strict):
    """Days after which noncurrent or loose objects go; current objects of tables are never expired by S3."""

    logs_days: Literal[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1827, 3653] = 90
    noncurrent_days: int = Field(default=30, ge=1, le=3650)
    landing_days: int = Field(default=90, ge=1, le=3650)
    run_reports_days: int = Field(default=365, ge=1, le=3650)


class WorkerLimits(Strict):
    """An upper bound on what pipelines ask for; None leaves the pipeline's own value."""

    max_count: int | None = Field(default=None, ge=2, le=299)
    flex: bool | None = None


class Environment(Strict):
    """One deployment target. `aws_endpoint_url` points every AWS call at a local cloud; absent for real accounts."""

    name: Name
    account: str = Field(pattern=r"^\d{12}$")
    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    aws_endpoint_url: str | None = None
    network: Network
    connections: dict[Name, Connection]
    removal_policy: Literal["retain", "destroy"]
    retention: Retention = Retention()
    workers: WorkerLimits = WorkerLimits()
    schedules: Literal["enabled", "disabled"]
    time_zone: str = "UTC"
    alert_emails: list[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]] = Field(min_length=1)

    @field_validator("aws_endpoint_url")
    @classmethod
    def _local_only(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"http://(127\.0\.0\.1|localhost):\d{2,5}", value):
            raise ValueError(
                f"{value!r} is not on this machine; only http://127.0.0.1:PORT is allowed, or leave it out for AWS"
            )
        return value

    @model_validator(mode="after")
    def _every_connection_can_be_reached(self) -> "Environment":
        local = self.aws_endpoint_url is not None
        wrong = []
        for name, connection in self.connections.items():
            if connection.host in LOOPBACK and not local:
                wrong.append(
                    f"connections.{name}: host {connection.host} is the job's own machine; name the database's host"
                )
            if connection.network == "nat" and not self.network.has_nat and not local:
                wrong.append(
                    f"connections.{name}: network: nat, but the VPC has no NAT; set nat_gateways or use privatelink"
                )
            if connection.network == "privatelink" and name not in self.network.privatelink_services:
                wrong.append(
                    f"connections.{name}: network: privatelink, but network.privatelink_services has no entry {name}"
                )
        if wrong:
            raise ValueError("; ".join(wrong))
        return self
