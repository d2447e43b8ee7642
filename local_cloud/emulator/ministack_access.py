"""The one door to ministack's private names. ministack is pinned (1.5.33) because these names may move in any release.

Stores are dict-like and scoped by the account and region of the calling request; `in_scope` carries that scope into
another thread.
"""

import asyncio
import contextvars
import json
import threading
from collections.abc import Callable, MutableMapping
from typing import Any, cast

from ministack import app as _app
from ministack.core import persistence as _persistence
from ministack.core import responses as _responses
from ministack.services import athena as _athena
from ministack.services import budgets as _budgets
from ministack.services import cloudwatch_logs as _logs
from ministack.services import ec2 as _ec2
from ministack.services import eventbridge as _events
from ministack.services import glue as _glue
from ministack.services import s3 as _s3
from ministack.services import secretsmanager as _secrets
from ministack.services import sns as _sns
from ministack.services.cloudformation import provisioners as _provisioners

Json = dict[str, Any]
Response = tuple[int, dict[str, str], bytes]
Handler = Callable[[Json], Response]
Store = MutableMapping[str, Any]

ASGI_APP = _app.app


class ApiError(Exception):
    """An answer with an AWS error code; handlers raise it, the dispatcher turns it into a response."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def answer(body: Json) -> Response:
    return cast(Response, _responses.json_response(body))


def refusal(error: ApiError) -> Response:
    return cast(Response, _responses.error_response_json(error.code, error.message, 400))


def result_of(response: Response, what: str) -> Json:
    """The body of an internal call. Raises ValueError, which CloudFormation reports as the resource's failure."""
    if response[0] >= 400:
        raise ValueError(f"{what}: {response[2]!r}")
    return cast(Json, json.loads(response[2])) if response[2] else {}


def account() -> str:
    return cast(str, _responses.get_account_id())


def region() -> str:
    return cast(str, _responses.get_region())


def in_scope(function: Callable[[], None], *, name: str) -> threading.Thread:
    """A started daemon thread that sees the stores of the account and region of the caller."""
    thread = threading.Thread(target=contextvars.copy_context().run, args=(function,), daemon=True, name=name)
    thread.start()
    return thread


# ---- Glue

glue_jobs: Store = _glue._jobs
glue_job_runs: Store = _glue._job_runs
glue_workflows: Store = _glue._workflows
glue_workflow_runs: Store = _glue._workflow_runs
glue_triggers: Store = _glue._triggers
glue_security_configurations: Store = _glue._security_configs

create_workflow: Handler = _glue._create_workflow
update_workflow: Handler = _glue._update_workflow
delete_workflow: Handler = _glue._delete_workflow
create_security_configuration: Handler = _glue._create_security_configuration
delete_security_configuration: Handler = _glue._delete_security_configuration

_catalog_lock = threading.Lock()


def new_glue_store(name: str) -> Store:
    """A store that is saved and loaded together with Glue's own."""
    store = _responses.AccountRegionScopedDict()
    _glue._ALL_STATE[name] = store
    return cast(Store, store)


def replace_glue_actions(actions: dict[str, Handler]) -> None:
    """Answer these Glue actions instead of ministack, and make the catalog's compare-and-set safe between threads."""
    original = _glue._handle_request_sync
    update_table = _glue._update_table

    def update_table_one_at_a_time(data: Json) -> Response:
        # ministack compares VersionId and writes in two steps, on one thread a request: two commits could both win.
        with _catalog_lock:
            return cast(Response, update_table(data))

    def handle(method: str, path: str, headers: dict[str, str], body: bytes, query: Any) -> Response:
        action = headers.get("x-amz-target", "").split(".")[-1]
        if action not in actions:
            return cast(Response, original(method, path, headers, body, query))
        try:
            return actions[action](json.loads(body or b"{}"))
        except ApiError as error:
            return refusal(error)

    _glue._update_table = update_table_one_at_a_time
    _glue._handle_request_sync = handle


def all_runs_of_every_account() -> list[Json]:
    """Job and workflow runs regardless of account and region, to settle what a stop interrupted."""
    stores = (_glue._job_runs, _glue._workflow_runs)
    return [run for store in stores for runs in store._data.values() for run in runs]


# ---- CloudFormation

resource_handlers: dict[str, dict[str, Any]] = _provisioners._RESOURCE_HANDLERS


def physical_name(stack: str, logical_id: str) -> str:
    return cast(str, _provisioners._physical_name(stack, logical_id))


# ---- S3, Secrets Manager, Budgets, Athena: what CloudFormation types need

put_bucket_encryption: Callable[[str, bytes], Response] = _s3._put_bucket_encryption
put_bucket_lifecycle: Callable[[str, bytes], Response] = _s3._put_bucket_lifecycle
forget_bucket_files: Callable[[str], None] = _s3._delete_persisted_bucket
create_budget: Handler = _budgets._create_budget
update_budget: Handler = _budgets._update_budget
delete_budget: Handler = _budgets._delete_budget
create_named_query: Handler = _athena._create_named_query
delete_named_query: Handler = _athena._delete_named_query


def bucket_holds_objects(bucket: str) -> bool:
    found = _s3._buckets.get(bucket)
    return found is not None and bool(found["objects"] or _s3._bucket_has_versions(bucket))


def empty_bucket(bucket: str) -> None:
    """Remove every object and version."""
    if bucket in _s3._buckets:
        _s3._buckets[bucket]["objects"].clear()
    for key in [key for key in _s3._object_versions if key[0] == bucket]:
        del _s3._object_versions[key]
    _s3._delete_persisted_bucket(bucket)


def security_group_rules(group_id: str, *, egress: bool) -> list[Json]:
    """The rules of a security group, to be changed in place. Raises KeyError for an unknown group."""
    return cast(list[Json], _ec2._security_groups[group_id]["IpPermissionsEgress" if egress else "IpPermissions"])


def security_group_rule(props: Json) -> Json:
    """A rule of a template in the shape of the store."""
    return cast(list[Json], _provisioners._ec2_sg_permissions([props]))[0]


def secret_name(arn_or_name: str) -> str:
    return next((name for name, secret in _secrets._secrets.items() if secret["ARN"] == arn_or_name), arn_or_name)


def replace_athena_engine(run: Callable[[str, str], Json]) -> None:
    """`run(query, database)` answers queries, in a thread: {"columns", "column_types", "rows"} of text or None."""

    async def in_thread(query: str, database: str, _catalog: str | None = None) -> Json:
        return await asyncio.to_thread(run, query, database)

    _athena._run_duckdb = in_thread


# ---- EventBridge, SNS, CloudWatch Logs


def put_event(*, source: str, detail_type: str, detail: Json) -> None:
    entry = {"Source": source, "DetailType": detail_type, "Detail": json.dumps(detail)}
    _events._put_events({"Entries": [entry]}, allow_aws_source=True)


def on_notification(deliver: Callable[[str, str, str, list[str]], None]) -> None:
    """Call `deliver(topic_arn, subject, message, email_addresses)` for every message published to a topic."""
    original = _sns._fanout

    def fanout(topic_arn: str, message_id: str, message: str, subject: str, *rest: Any, **options: Any) -> None:
        topic = _sns._topic_by_arn_any_scope(topic_arn) or {}
        structure = rest[0] if rest else options.get("message_structure", "")
        text = _sns._resolve_message_for_protocol(message, structure, "email")
        addresses = [s["endpoint"] for s in topic.get("subscriptions", []) if s.get("protocol", "").startswith("email")]
        deliver(topic_arn, subject, text, addresses)
        original(topic_arn, message_id, message, subject, *rest, **options)

    _sns._fanout = fanout


def open_log_stream(group: str, stream: str) -> None:
    """The stream, and its group when no template made it. Neither fails when it exists."""
    _logs._create_log_group({"logGroupName": group})
    _logs._create_log_stream({"logGroupName": group, "logStreamName": stream})


def put_log_events(group: str, stream: str, events: list[Json]) -> None:
    _logs._put_log_events({"logGroupName": group, "logStreamName": stream, "logEvents": events})


# ---- Persistence


def save_everything() -> None:
    _persistence.save_all(_app._build_persistence_save_dict())
