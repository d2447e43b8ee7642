"""Bucket properties of a template as the XML of the S3 API."""

from typing import Any
from xml.sax.saxutils import escape

from local_cloud.emulator.ministack_access import Json

_NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def encryption_xml(props: Json) -> bytes | None:
    """The default encryption of a bucket, or None when the template says nothing that the emulator can keep."""
    rules = []
    for rule in props.get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration", []):
        default = rule["ServerSideEncryptionByDefault"]
        key = default.get("KMSMasterKeyID")
        if default["SSEAlgorithm"] == "aws:kms" and not key:
            continue  # ministack refuses aws:kms without a key id
        by_default = _element("SSEAlgorithm", default["SSEAlgorithm"]) + (
            _element("KMSMasterKeyID", key) if key else ""
        )
        rules.append(
            f"<Rule><ApplyServerSideEncryptionByDefault>{by_default}</ApplyServerSideEncryptionByDefault></Rule>"
        )
    if not rules:
        return None
    body = "".join(rules)
    return f"<ServerSideEncryptionConfiguration {_NAMESPACE}>{body}</ServerSideEncryptionConfiguration>".encode()


def lifecycle_xml(props: Json) -> bytes | None:
    """The lifecycle rules of a bucket (expiry of current, noncurrent and unfinished objects, transitions), or None."""
    rules = props.get("LifecycleConfiguration", {}).get("Rules", [])
    if not rules:
        return None
    body = "".join(_lifecycle_rule(rule) for rule in rules)
    return f"<LifecycleConfiguration {_NAMESPACE}>{body}</LifecycleConfiguration>".encode()


def _lifecycle_rule(rule: Json) -> str:
    parts = [_element("ID", rule["Id"]) if rule.get("Id") else "", _element("Status", rule["Status"])]
    parts.append(f"<Filter>{_element('Prefix', rule.get('Prefix', ''))}</Filter>")
    expiration = {
        "Days": rule.get("ExpirationInDays"),
        "Date": rule.get("ExpirationDate"),
        "ExpiredObjectDeleteMarker": rule.get("ExpiredObjectDeleteMarker"),
    }
    parts.append(_group("Expiration", expiration))
    for transition in rule.get("Transitions", []):
        parts.append(
            _group(
                "Transition", {"Days": transition.get("TransitionInDays"), "StorageClass": transition["StorageClass"]}
            )
        )
    noncurrent = rule.get("NoncurrentVersionExpiration") or {
        "NoncurrentDays": rule.get("NoncurrentVersionExpirationInDays")
    }
    parts.append(_group("NoncurrentVersionExpiration", noncurrent))
    parts.append(_group("AbortIncompleteMultipartUpload", rule.get("AbortIncompleteMultipartUpload", {})))
    return f"<Rule>{''.join(parts)}</Rule>"


def _group(tag: str, values: dict[str, Any]) -> str:
    body = "".join(_element(name, value) for name, value in values.items() if value is not None)
    return f"<{tag}>{body}</{tag}>" if body else ""


def _element(tag: str, value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"<{tag}>{escape(text)}</{tag}>"
