"""docs/api.md lists the endpoints that there are; ``ONTOIDPS_WRITE_DOCS=1`` writes the list."""

from __future__ import annotations

import os
from pathlib import Path

DOCUMENT = Path(__file__).parents[3] / "docs" / "api.md"
BEGIN, END = "<!-- endpoints, from the OpenAPI document -->\n", "<!-- end -->"


def _type(schema: dict) -> str:
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    return schema.get("type", "")


def _table(openapi: dict) -> str:
    lines = ["| request | parameters or body | answer | does |", "|---|---|---|---|"]
    for path, operations in openapi["paths"].items():
        for method, operation in operations.items():
            given = [
                f"`{p['name']}`" for p in operation.get("parameters", ()) if p["in"] == "query"
            ]
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if body:
                name = _type(body["schema"])
                schema = openapi["components"]["schemas"][name]
                required = schema.get("required", ())
                given += [f"`{f}`{'' if f in required else '?'}" for f in schema["properties"]]
            status, answer = next(iter(operation["responses"].items()))
            kind = ""
            for media, content in answer.get("content", {}).items():
                kind = _type(content.get("schema", {})) if media.endswith("json") else media
            does = operation["description"].split("\n")[0]
            does = does.replace("``", "`")
            lines.append(
                f"| `{method.upper()} {path}` | {', '.join(given)} | {status} {kind} | {does} |"
            )
    return "\n".join(lines) + "\n"


def test_the_endpoints_in_the_document_are_those_of_the_application(app):
    text = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    wanted = f"{before}{BEGIN}{_table(app.openapi())}{END}{after}"
    if os.environ.get("ONTOIDPS_WRITE_DOCS"):
        DOCUMENT.write_text(wanted, encoding="utf-8")
    assert text == wanted


def test_the_fields_of_a_block_are_all_named(app):
    text = DOCUMENT.read_text(encoding="utf-8")
    for name in ("BlockView", "GatewayView"):
        for field in app.openapi()["components"]["schemas"][name]["properties"]:
            assert f"`{field}`" in text or field == "gateway", field
