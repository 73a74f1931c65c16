"""Path parts: what the document says of an operation."""

from __future__ import annotations

from gateway.admin.document.path_parts import failures_of, get, json_content, query

TEXT = {"type": "string"}


def test_a_get_has_its_answer_its_parameters_and_its_failures() -> None:
    name = query("name", "A name.", TEXT)
    path = get("getIt", "It", json_content(TEXT), name, failures=(400, 404))
    operation = path["get"]
    assert (operation["operationId"], operation["summary"], operation["parameters"]) == ("getIt", "It", [name])
    assert operation["responses"]["200"]["content"]["application/json"]["schema"] == TEXT
    assert operation["responses"].keys() == {"200", *failures_of(400, 404)}


def test_a_get_without_parameters_names_none() -> None:
    assert "parameters" not in get("getIt", "It", json_content(TEXT))["get"]
