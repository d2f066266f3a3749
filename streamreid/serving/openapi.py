"""What the OpenAPI description says of the bodies that are read by hand: cameras, zones and lines, with the keys of the
YAML."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from streamreid.config import CameraConfig, LineConfig, ZoneConfig

__all__ = ["CAMERA", "CAMERA_PART", "body_of", "described"]

_TEMPLATE = "#/components/schemas/{model}"


_MODELS: dict[str, type[BaseModel]] = {"Camera": CameraConfig, "Zone": ZoneConfig, "Line": LineConfig}
"""What is sent whole; of ``CameraPart``, ``ZonePart`` and ``LinePart`` no key is required."""


def body_of(name: str) -> dict[str, Any]:
    """What is said of a body and the answers to it.

    Args:
        name: Camera, Zone, Line, or one of these with Part.
    """
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


CAMERA = body_of("Camera")
CAMERA_PART = body_of("CameraPart")


def described(app: FastAPI) -> None:
    """Add the models that bodies are described by to the description of an application."""
    original = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            description = original()
            models = description.setdefault("components", {}).setdefault("schemas", {})
            for name, model in _MODELS.items():
                schema = model.model_json_schema(ref_template=_TEMPLATE)
                models.update(schema.pop("$defs", {}))
                models[name] = schema
                models[f"{name}Part"] = {**{k: v for k, v in schema.items() if k != "required"}, "title": f"{name}Part"}
            models["Error"] = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
            app.openapi_schema = description
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
