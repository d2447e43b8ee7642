"""CloudFormation resource types that ministack lacks, and properties of its own types that it drops."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from local_cloud.emulator import ministack_access as aws
from local_cloud.emulator.bucket_xml import encryption_xml, lifecycle_xml
from local_cloud.emulator.ministack_access import Json, Response

Attributes = tuple[str, Json]

# CreateJob keeps a fixed list of fields; these decide how a run behaves.
_JOB_FIELDS_DROPPED = ("ExecutionProperty", "ExecutionClass", "NotificationProperty", "MaintenanceWindow")

rulesets = aws.new_glue_store("data_quality_rulesets")


def install(*, on_job_deployed: Callable[[], None]) -> None:
    """Register the types. `on_job_deployed` is called whenever a Glue job is created or changed."""
    handlers = aws.resource_handlers
    handlers["AWS::Glue::Workflow"] = _named(
        "AWS::Glue::Workflow",
        create=lambda name, props: aws.create_workflow({**props, "Name": name}),
        update=lambda name, props: aws.update_workflow({**props, "Name": name}),
        delete=lambda name: aws.delete_workflow({"Name": name}),
    )
    handlers["AWS::Glue::SecurityConfiguration"] = _named(
        "AWS::Glue::SecurityConfiguration",
        create=_create_security_configuration,
        update=_update_security_configuration,
        delete=lambda name: aws.delete_security_configuration({"Name": name}),
    )
    handlers["AWS::Glue::DataQualityRuleset"] = _named(
        "AWS::Glue::DataQualityRuleset",
        create=lambda name, props: put_ruleset({**props, "Name": name}),
        update=lambda name, props: put_ruleset({**props, "Name": name}),
        delete=lambda name: delete_ruleset({"Name": name}),
    )
    handlers["AWS::Budgets::Budget"] = _named(
        "AWS::Budgets::Budget",
        create=lambda name, props: aws.create_budget(_budget("Budget", name, props)),
        update=lambda name, props: aws.update_budget(_budget("NewBudget", name, props)),
        delete=lambda name: aws.delete_budget({"AccountId": aws.account(), "BudgetName": name}),
        name_of=lambda props: props["Budget"].get("BudgetName"),
    )
    handlers["AWS::Athena::NamedQuery"] = {"create": _create_named_query, "delete": _delete_named_query}
    handlers["AWS::EC2::SecurityGroupIngress"] = _security_group_rule(egress=False)
    handlers["AWS::EC2::SecurityGroupEgress"] = _security_group_rule(egress=True)
    handlers["AWS::EC2::VPC"] = _vpc_with_all_attributes(handlers["AWS::EC2::VPC"])
    # CDK's `auto_delete_objects`: its Lambda needs the AWS SDK for JavaScript, which only AWS brings.
    handlers["Custom::S3AutoDeleteObjects"] = {
        "create": lambda logical_id, _props, stack: (aws.physical_name(stack, logical_id), {}),
        "update": lambda physical_id, _old, _new, _stack: (physical_id, {}),
        "delete": lambda _physical_id, props: aws.empty_bucket(props["BucketName"]),
    }
    handlers["AWS::SecretsManager::Secret"] = _secret_with_arn_as_reference(handlers["AWS::SecretsManager::Secret"])
    handlers["AWS::S3::Bucket"] = _bucket_with_all_properties(handlers["AWS::S3::Bucket"])
    handlers["AWS::Glue::Job"] = _job_with_all_properties(handlers["AWS::Glue::Job"], on_job_deployed)


def put_ruleset(data: Json) -> Response:
    rulesets[data["Name"]] = {key: value for key, value in data.items() if key != "Tags"}
    return aws.answer({"Name": data["Name"]})


def get_ruleset(data: Json) -> Response:
    if data["Name"] not in rulesets:
        raise aws.ApiError("EntityNotFoundException", f"Data quality ruleset {data['Name']} not found")
    return aws.answer(rulesets[data["Name"]])


def list_rulesets(_data: Json) -> Response:
    return aws.answer({"Rulesets": [{"Name": name} for name in sorted(rulesets)]})


def delete_ruleset(data: Json) -> Response:
    rulesets.pop(data["Name"], None)
    return aws.answer({})


def _named(
    resource_type: str,
    *,
    create: Callable[[str, Json], Response],
    update: Callable[[str, Json], Response],
    delete: Callable[[str], Response],
    name_of: Callable[[Json], str | None] = lambda props: props.get("Name"),
) -> dict[str, Any]:
    """Handlers of a type whose physical id is its name."""

    def created(logical_id: str, props: Json, stack: str) -> Attributes:
        name = name_of(props) or aws.physical_name(stack, logical_id)
        aws.result_of(create(name, props), resource_type)
        return name, {"Name": name}

    def updated(physical_id: str, old: Json, new: Json, stack: str) -> Attributes:
        renamed = name_of(new)
        if renamed and renamed != physical_id:
            result = created(renamed, new, stack)
            delete(physical_id)
            return result
        aws.result_of(update(physical_id, new), resource_type)
        return physical_id, {"Name": physical_id}

    return {"create": created, "update": updated, "delete": lambda physical_id, _props: delete(physical_id)}


def _create_security_configuration(name: str, props: Json) -> Response:
    encryption = dict(props["EncryptionConfiguration"])
    if "S3Encryptions" in encryption:  # the template's name for what the API calls S3Encryption
        encryption["S3Encryption"] = encryption.pop("S3Encryptions")
    return aws.create_security_configuration({"Name": name, "EncryptionConfiguration": encryption})


def _update_security_configuration(name: str, props: Json) -> Response:
    aws.delete_security_configuration({"Name": name})
    return _create_security_configuration(name, props)


def _budget(key: str, name: str, props: Json) -> Json:
    return {"AccountId": aws.account(), key: {**props["Budget"], "BudgetName": name}}


def _create_named_query(logical_id: str, props: Json, _stack: str) -> Attributes:
    created = aws.result_of(aws.create_named_query({"Name": logical_id, **props}), "AWS::Athena::NamedQuery")
    return created["NamedQueryId"], {"NamedQueryId": created["NamedQueryId"]}


def _delete_named_query(physical_id: str, _props: Json) -> None:
    aws.delete_named_query({"NamedQueryId": physical_id})


def _security_group_rule(*, egress: bool) -> dict[str, Any]:
    """A rule of its own, which CDK makes of one that names the group itself."""

    def create(logical_id: str, props: Json, stack: str) -> Attributes:
        aws.security_group_rules(props["GroupId"], egress=egress).append(aws.security_group_rule(props))
        return aws.physical_name(stack, logical_id), {}

    def delete(_physical_id: str, props: Json) -> None:
        with suppress(KeyError, ValueError):  # the group may have gone first
            aws.security_group_rules(props["GroupId"], egress=egress).remove(aws.security_group_rule(props))

    def update(physical_id: str, old: Json, new: Json, stack: str) -> Attributes:
        delete(physical_id, old)
        aws.security_group_rules(new["GroupId"], egress=egress).append(aws.security_group_rule(new))
        return physical_id, {}

    return {"create": create, "update": update, "delete": delete}


def _vpc_with_all_attributes(handlers: dict[str, Any]) -> dict[str, Any]:
    """The address range, which CDK asks for in the rules of an interface endpoint's security group."""

    def create(logical_id: str, props: Json, stack: str) -> Attributes:
        physical_id, attributes = handlers["create"](logical_id, props, stack)
        return physical_id, {**attributes, "CidrBlock": props.get("CidrBlock", "")}

    return {**handlers, "create": create}


def _secret_with_arn_as_reference(handlers: dict[str, Any]) -> dict[str, Any]:
    """`Ref` of a secret is its ARN on AWS; ministack answers with the name."""

    def create(logical_id: str, props: Json, stack: str) -> Attributes:
        _name, attributes = handlers["create"](logical_id, props, stack)
        return attributes["Arn"], attributes

    def update(physical_id: str, old: Json, new: Json, stack: str, logical_id: str | None = None) -> Attributes:
        _name, attributes = handlers["update"](aws.secret_name(physical_id), old, new, stack, logical_id)
        return attributes["Arn"], attributes

    def delete(physical_id: str, props: Json) -> None:
        handlers["delete"](aws.secret_name(physical_id), props)

    return {**handlers, "create": create, "update": update, "delete": delete}


def _bucket_with_all_properties(handlers: dict[str, Any]) -> dict[str, Any]:
    """Encryption and lifecycle are kept; a bucket that holds objects is not deleted; a deleted one stays deleted."""

    def configure(bucket: str, props: Json) -> None:
        if encryption := encryption_xml(props):
            aws.result_of(_without_body(aws.put_bucket_encryption(bucket, encryption)), "BucketEncryption")
        if lifecycle := lifecycle_xml(props):
            aws.result_of(_without_body(aws.put_bucket_lifecycle(bucket, lifecycle)), "LifecycleConfiguration")

    def create(logical_id: str, props: Json, stack: str) -> Attributes:
        result: Attributes = handlers["create"](logical_id, props, stack)
        configure(result[0], props)
        return result

    def update(physical_id: str, old: Json, new: Json, stack: str) -> Attributes:
        result: Attributes = handlers["update"](physical_id, old, new, stack)
        configure(result[0], new)
        return result

    def delete(physical_id: str, props: Json) -> None:
        if aws.bucket_holds_objects(physical_id):
            raise ValueError(f"The bucket you tried to delete is not empty: {physical_id}")
        handlers["delete"](physical_id, props)
        aws.forget_bucket_files(physical_id)

    return {**handlers, "create": create, "update": update, "delete": delete}


def _without_body(response: Response) -> Response:
    """S3 answers in XML, of which only the status matters here."""
    return response if response[0] >= 400 else (response[0], response[1], b"")


def _job_with_all_properties(handlers: dict[str, Any], on_job_deployed: Callable[[], None]) -> dict[str, Any]:
    def keep(name: str, props: Json) -> None:
        job = aws.glue_jobs[name]
        for field in _JOB_FIELDS_DROPPED:
            if field in props:
                job[field] = props[field]
            else:
                job.pop(field, None)
        on_job_deployed()

    def create(logical_id: str, props: Json, stack: str) -> Attributes:
        result: Attributes = handlers["create"](logical_id, props, stack)
        keep(result[0], props)
        return result

    def update(physical_id: str, old: Json, new: Json, stack: str, logical_id: str | None = None) -> Attributes:
        result: Attributes = handlers["update"](physical_id, old, new, stack, logical_id)
        keep(result[0], new)
        return result

    return {**handlers, "create": create, "update": update}
