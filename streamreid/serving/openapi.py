"""What the OpenAPI description says of the bodies that are read by hand: a camera, with the keys of the YAML."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from streamreid.config import CameraConfig

__all__ = ["CAMERA", "CAMERA_PART", "described"]

_TEMPLATE = "#/components/schemas/{model}"


def _extra(name: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": _TEMPLATE.format(model=name)}}}
    error = {"application/json": {"schema": {"$ref": _TEMPLATE.format(model="Error")}}}
    said = {
        "403": "Not allowed to ask.",
        "409": "There is one of that name.",
        "413": "Too large.",
        "422": "Something is wrong with it.",
    }
    responses = {status: {"description": text, "content": error} for status, text in said.items()}
    return {"requestBody": {"required": True, "content": content}, "responses": responses}


CAMERA = _extra("Camera")
CAMERA_PART = _extra("CameraPart")


def described(app: FastAPI) -> None:
    """Add the models that `CAMERA` and `CAMERA_PART` speak of to the description of an application."""
    original = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            description = original()
            schema = CameraConfig.model_json_schema(ref_template=_TEMPLATE)
            models = description.setdefault("components", {}).setdefault("schemas", {})
            models.update(schema.pop("$defs", {}))
            models["Camera"] = schema
            models["CameraPart"] = {**{k: v for k, v in schema.items() if k != "required"}, "title": "CameraPart"}
            models["Error"] = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
            app.openapi_schema = description
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
