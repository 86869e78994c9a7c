"""The specification in one piece, as schemathesis reads it, with the ids of things that there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from inkbox_async.operation import Operation
from inkbox_async.sandbox.server import specified_operations

from ..contract import documents
from .population import Household
from .requests import path_values

Node = Any  # Any: YAML of every shape

KINDS = ("schemas", "parameters", "responses")


def specification(home: Household, *, only_known: bool = False) -> Node:
    """One document with every operation, in which paths and bodies are about one household.

    It differs from the files in four ways. Path parameters have one value, that of the household. Properties
    of requests that name things or people have values of the household beside all others; with `only_known`
    they have no others. Requests admit no further properties: the files leave that open for servers of other
    versions, the sandbox does not. And null stands for a property that may be left out, as on all servers.
    """
    files = {name.removesuffix(".yaml"): file for name, file in documents().items()}
    document: Node = {
        "openapi": "3.1.0",
        "info": {"title": "Inkbox and its sandbox", "version": "1"},
        "paths": {},
        "components": {
            kind: {
                f"{area}.{name}": _local(node, area)
                for area, file in files.items()
                for name, node in file.get("components", {}).get(kind, {}).items()
            }
            for kind in KINDS
        },
    }
    for operation in specified_operations():
        item = files[operation.area]["paths"][operation.path]
        node = _local(item[operation.method.lower()], operation.area)
        shared = _local(item.get("parameters", []), operation.area)
        node["parameters"] = [*shared, *node.get("parameters", [])]
        _settle(node["parameters"], document, operation, home)
        document["paths"].setdefault(operation.path, {})[operation.method.lower()] = node
        body = node.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        if body is not None:
            _Closing(document, known(operation, home), only_known).close(body)
    return document


def _local(node: Node, area: str) -> Node:
    """A copy whose references lead to places in the one document."""
    if isinstance(node, list):
        return [_local(item, area) for item in node]
    if not isinstance(node, dict):
        return node
    found = {key: _local(value, area) for key, value in node.items() if key not in ("examples", "example")}
    if isinstance(reference := node.get("$ref"), str):
        file, _, place = reference.partition("#/components/")
        kind, name = place.split("/")
        found["$ref"] = f"#/components/{kind}/{file.removeprefix('./').removesuffix('.yaml') or area}.{name}"
    return found


def _settle(parameters: list[Node], document: Node, operation: Operation, home: Household) -> None:
    """Give path parameters the values that there are."""
    values = path_values(operation, home)
    for index, parameter in enumerate(parameters):
        resolved = _resolved(parameter, document)
        if resolved["in"] == "path":
            parameters[index] = {**resolved, "schema": {"const": values[resolved["name"]]}}


def _resolved(node: Node, document: Node) -> Node:
    if "$ref" not in node:
        return node
    _, _, kind, name = node["$ref"].split("/")
    return document["components"][kind][name]


class _Closing:
    """Lets the schemas of request bodies admit no more properties, and offers them known values."""

    def __init__(self, document: Node, values: Mapping[str, list[str]], only_known: bool) -> None:
        self._document = document
        self._values = values
        self._only_known = only_known
        self._seen: set[int] = set()

    def close(self, schema: Node) -> None:
        """Change a schema and those in it, each once."""
        schema = _resolved(schema, self._document)
        if id(schema) in self._seen:
            return
        self._seen.add(id(schema))
        for inner in _inner(schema):
            self.close(inner)
        if "properties" not in schema:
            return
        schema.setdefault("additionalProperties", False)
        for name, node in schema["properties"].items():
            if name in self._values:
                node = self._with_known(node, self._values[name])
            if name not in schema.get("required", ()):
                node = {"anyOf": [node, {"type": "null"}]}
            schema["properties"][name] = node

    def _with_known(self, node: Node, values: list[str]) -> Node:
        if "$ref" in node:
            return node
        if "anyOf" in node and any(one.get("type") == "array" for one in node["anyOf"]):
            return {"anyOf": [self._with_known(one, values) for one in node["anyOf"]]}
        if "array" in node.get("type", "string"):
            return {**node, "items": self._with_known(node["items"], values)}
        return {"enum": values} if self._only_known else {"anyOf": [{"enum": values}, node]}


def _inner(schema: Node) -> Iterator[Node]:
    yield from schema.get("properties", {}).values()
    for name in ("anyOf", "oneOf", "allOf"):
        yield from schema.get(name, [])
    for name in ("items", "additionalProperties"):
        if isinstance(node := schema.get(name), dict):
            yield node


def known(operation: Operation, home: Household) -> dict[str, list[str]]:
    """Values of an operation's properties by their names."""
    numbers = [home["remote_number"], home["number"], "+15550109999"]
    addresses = [home["email_address"], f"{home.marker}@example.com", "new@example.com"]
    identities = [home["identity_id"], home["viewer_identity_id"]]
    is_mail = operation.area == "mail" or operation.id == "control.send_email"
    places = addresses if is_mail else numbers
    conversation = "text_conversation_id" if operation.area == "phone" else "conversation_id"
    return {
        "access_identity_ids": identities,
        "agent_handle": ["new-agent", f"{home['agent_handle'].partition('-')[0]}-viewer"],
        "agent_identity_id": identities,
        "audio_url": ["data:audio/wav;base64,UklGRg=="],
        "bcc": addresses,
        "cc": addresses,
        "client_websocket_url": ["ws://127.0.0.1:9/"],
        "content_base64": ["aGVsbG8="],
        "content_type": ["text/plain"],
        "conversation_id": [home[conversation]],
        "csr_pem": [home["csr_pem"]],
        "current_auth_hash": [home["auth_hash"]],
        "domain": ["new.example", home["domain_name"]],
        "email_local_part": ["new"],
        "event_types": ["message.received", "message.sent", "text.received", "imessage.received"],
        "filename": ["plan.txt"],
        "forwarding_phone_number": numbers,
        "from": places,
        "from_number": [home["number"]],
        "human_email": addresses,
        "identity_id": identities,
        "in_reply_to": ["<first@example.com>"],
        "in_reply_to_message_id": ["<first@example.com>"],
        "incoming_call_webhook_url": ["http://127.0.0.1:9/call"],
        "mailbox_id": [home["mailbox_id"]],
        "match_target": [*places, "example.com"],
        "media_urls": ["data:image/png;base64,aGVsbG8=", "https://example.com/a.png"],
        "message_id": [home["imessage_id"]],
        "organization_id": [home["organization_id"]],
        "path": ["/api/v1/nothing"],
        "phone_number_id": [home["phone_number_id"]],
        "reaction": ["love", "like"],
        "recovery_auth_hash": [home["recovery_hash"]],
        "reply_to": addresses,
        "scoped_identity_id": identities,
        "sending_domain": [home["domain_name"]],
        "state": ["NY"],
        "subject": ["Hello"],
        "text": ["Hi"],
        "to": places,
        "to_number": numbers,
        "url": ["http://127.0.0.1:9/hook"],
        "vault_secret_ids": [home["secret_id"]],
        "viewer_identity_id": identities,
    }
