"""What only a deployment can show: the CDK's templates, Glue's jobs and workflow, S3, the warehouse and `etl` together.

The tests build on each other in the order of the file, as runs of a pipeline do.
"""

import email
from email import policy

from tests.end_to_end.conftest import LocalProject

ODD = r"E'line\nbreak, \"quoted\" ☃ 😀'"


def test_a_first_run_brings_every_value_to_lake_and_warehouse(local_project: LocalProject) -> None:
    made = local_project.etl(
        "local",
        "sql",
        f"""
        create table sale (shop text, number int, amount numeric(12,3), free numeric, note text, at timestamptz, day date,
          tags text[], doc jsonb, id uuid, blob bytea, changed timestamptz not null default '2020-01-01', primary key (shop, number));
        create table shop (code text, name text);
        create table visit (id bigint primary key, who text);
        insert into sale (shop, number, amount, free, note, at, day, tags, doc, id, blob) values
          ('n', 1, 10.125, 12345678901234567890123456789.5, {ODD}, '2020-02-29 23:59:59.999999+02', '0001-01-01', '{{a,NULL}}',
           '{{"k": 1}}', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '\\x00ff'),
          ('n', 2, 0.001, null, '', null, '9999-12-31', null, null, null, null),
          ('s', 1, 5, 0, null, '0001-01-01 00:00:00+00', null, '{{}}', 'null', null, '\\x'),
          ('s', 2, 7, 1, 'x', null, null, null, null, null, null);
        insert into shop values ('n', 'North'), ('s', 'South');
        insert into visit values (1, 'a'), (2, 'b');
        """,
    )
    assert made.exit_code == 0, made
    run = local_project.etl("run", "shop", "--json")
    assert run.exit_code == 0, run
    expected = [
        [
            "n",
            1,
            "10.125",
            "12345678901234567890123456789.5",
            'line\nbreak, "quoted" ☃ 😀',
            "0001-01-01",
            "{a,NULL}",
            "00ff",
        ],
        ["n", 2, "0.001", None, "", "9999-12-31", None, None],
        ["s", 1, "5.000", "0", None, None, "{}", ""],
        ["s", 2, "7.000", "1", "x", None, None, None],
    ]
    columns = "shop, number, amount, free, note, day, tags, blob"
    for place in ("lake", "warehouse"):
        assert local_project.rows(f"select {columns} from sale order by shop, number", on=place) == expected, place
    assert local_project.rows("select shop, amount, sales from turnover order by shop", on="warehouse") == [
        ["n", "10.126", 2],
        ["s", "12.000", 2],
    ]


def test_a_second_run_brings_the_changes_alone_and_holds_back_what_fails(local_project: LocalProject) -> None:
    changed = local_project.etl(
        "local",
        "sql",
        """
        update sale set note = 'changed', changed = now() where shop = 'n' and number = 2;
        delete from sale where shop = 's' and number = 2;
        insert into sale (shop, number, amount, changed) values ('w', 1, 3, now()), ('w', 2, -3, now());
        delete from shop where code = 's';
        insert into visit values (3, 'c');
        """,
    )
    assert changed.exit_code == 0, changed
    run = local_project.etl("run", "shop", "--json")
    assert run.exit_code == 0, run
    answer = [["n", 1, "10.125"], ["n", 2, "0.001"], ["s", 1, "5.000"], ["w", 1, "3.000"]]
    for place in ("lake", "warehouse"):
        assert local_project.rows("select shop, number, amount from sale order by shop, number", on=place) == answer, (
            place
        )
        assert local_project.rows("select code from shop", on=place) == [["n"]], place
        assert local_project.rows("select id from visit order by id", on=place) == [[1], [2], [3]], place
    held = local_project.rows("select shop, number, amount from local_shop_quarantine.sale", on="lake")
    assert held == [["w", 2, "-3.000"]]
    sale = next(table for table in run.document["tables"] if table["table"] == "sale")
    assert {key: sale[key] for key in ("inserted_rows", "updated_rows", "deleted_rows", "quarantined_rows")} == {
        "inserted_rows": 1,
        "updated_rows": 1,
        "deleted_rows": 1,
        "quarantined_rows": 1,
    }
    assert all(found["equal"] for found in run.document["comparison"])


def test_a_run_with_nothing_to_do_changes_no_table(local_project: LocalProject) -> None:
    before = table_versions(local_project)
    assert len(before) > 8
    run = local_project.etl("run", "shop", "--json")
    assert run.exit_code == 0, run
    assert table_versions(local_project) == before


def test_a_failed_run_says_why_sends_an_email_and_can_be_resumed(local_project: LocalProject) -> None:
    local_project.etl(
        "local", "sql", "insert into sale (shop, number, amount) values ('x', 1, 1); alter table shop rename to gone"
    )
    failed = local_project.etl("run", "shop")
    assert failed.exit_code == 1, failed
    assert "the source has no table public.shop" in failed.output
    assert "etl resume shop" in failed.output
    assert "Traceback" not in failed.output + failed.errors
    letters = [read(path) for path in sorted((local_project.folder / ".local" / "outbox").glob("*.eml"))]
    assert any("data-local@example.com" in to and "etl-local-shop-extract" in body for to, body in letters), letters
    assert local_project.rows("select count(*) from sale", on="lake") == [[4]]
    local_project.etl(
        "local", "sql", "alter table gone rename to shop; update sale set changed = now() where shop = 'x'"
    )
    resumed = local_project.etl("resume", "shop", "--json")
    assert resumed.exit_code == 0, resumed
    assert local_project.rows("select count(*) from sale", on="warehouse") == [[5]]


def test_a_wrong_password_and_an_unreachable_database_are_told_without_a_trace(local_project: LocalProject) -> None:
    secrets = local_project.client("secretsmanager")
    right = secrets.get_secret_value(SecretId="etl/local/erp")["SecretString"]
    secrets.put_secret_value(
        SecretId="etl/local/erp", SecretString='{"username": "etl", "password": "not-the-password"}'
    )
    try:
        failed = local_project.etl("run", "shop", "--tables", "visit")
    finally:
        secrets.put_secret_value(SecretId="etl/local/erp", SecretString=right)
    assert failed.exit_code == 1, failed
    assert "the database refused the login" in failed.output
    assert "Correct username and password in the secret etl/local/erp" in failed.output
    assert "not-the-password" not in failed.output + failed.errors
    assert "Traceback" not in failed.output


def test_a_redeployment_changes_the_argument_that_was_changed(local_project: LocalProject) -> None:
    file = local_project.folder / "pipelines" / "shop" / "pipeline.yaml"
    file.write_text(file.read_text().replace("timeout_minutes: 30", "timeout_minutes: 31"))
    deployed = local_project.etl("local", "deploy")
    assert deployed.exit_code == 0, deployed
    assert local_project.client("glue").get_job(JobName="etl-local-shop-load")["Job"]["Timeout"] == 31


def test_destroying_the_stacks_leaves_nothing(local_project: LocalProject) -> None:
    s3 = local_project.client("s3")
    for bucket in s3.list_buckets()["Buckets"]:
        if bucket["Name"].startswith("etl-local-"):
            empty(s3, bucket["Name"])
    glue = local_project.client("glue")
    for database in glue.get_databases()["DatabaseList"]:
        for table in glue.get_tables(DatabaseName=database["Name"])["TableList"]:
            glue.delete_table(DatabaseName=database["Name"], Name=table["Name"])
    from local_cloud import control

    aws = " ".join(f"{key}='{value}'" for key, value in control.aws_environment(local_project.folder).items())
    destroyed = local_project.shell(
        f"env {aws} node node_modules/aws-cdk/bin/cdk destroy --all --force --app cdk.out/assembly-local"
    )
    assert destroyed.exit_code == 0, destroyed
    stacks = local_project.client("cloudformation").list_stacks()["StackSummaries"]
    left = [
        s["StackName"] for s in stacks if s["StackStatus"] != "DELETE_COMPLETE" and s["StackName"].startswith("etl-")
    ]
    assert left == []
    assert [job for job in glue.get_jobs()["Jobs"] if job["Name"].startswith("etl-local")] == []
    assert [b["Name"] for b in s3.list_buckets()["Buckets"] if b["Name"].startswith("etl-local-")] == []


def table_versions(project: LocalProject) -> dict[str, str]:
    glue, found = project.client("glue"), {}
    for database in glue.get_databases()["DatabaseList"]:
        for table in glue.get_tables(DatabaseName=database["Name"])["TableList"]:
            found[f"{database['Name']}.{table['Name']}"] = table["Parameters"].get("metadata_location", "")
    return found


def read(path: object) -> tuple[str, str]:
    message = email.message_from_string(path.read_text(), policy=policy.default)  # type: ignore[attr-defined]  # a Path
    return str(message["To"]), f"{message['Subject']}\n{message.get_content()}"


def empty(s3: object, bucket: str) -> None:
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket)  # type: ignore[attr-defined]  # an S3 client
    for page in pages:
        objects = [
            {"Key": item["Key"], "VersionId": item["VersionId"]}
            for kind in ("Versions", "DeleteMarkers")
            for item in page.get(kind, [])
        ]
        for start in range(0, len(objects), 1000):
            s3.delete_objects(Bucket=bucket, Delete={"Objects": objects[start : start + 1000]})  # type: ignore[attr-defined]
