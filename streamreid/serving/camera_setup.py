"""Setting cameras up by HTTP: find them in the network, test one, calibrate it by clicks, a plan of the ground, and the
cameras file."""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import Any

import cv2
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, Response

from streamreid._yaml import validate
from streamreid.config import CameraConfig
from streamreid.config.file_editing import CamerasFile
from streamreid.errors import ConfigError
from streamreid.ground.ground_plan import GroundPlan, PlanScale
from streamreid.pipeline import Pipeline
from streamreid.runs.calibration_desk import CalibrationDesk, points_of
from streamreid.runs.camera_check import examine_camera
from streamreid.serving.openapi import body_of
from streamreid.serving.request_bodies import request_object
from streamreid.serving.setup_parts import SetupParts
from streamreid.serving.worker_pool import WorkerPool
from streamreid.sources.onvif_discovery import find_cameras
from streamreid.sources.onvif_streams import device_streams

__all__ = ["add_camera_setup"]

_TEST_SECONDS = 3.0
"""Seconds for which a camera is looked at once it gives frames."""

_LATE_SECONDS = 60.0
"""After which a test, a search or a calibration is answered with 503."""

_PREVIEW_WIDTH = 480
"""Pixels of the picture that a test shows."""


def add_camera_setup(app: FastAPI, pipeline: Pipeline, setup: SetupParts, reading: WorkerPool) -> None:
    """Add the paths.

    Args:
        app: The application.
        pipeline: The run.
        setup: What belongs to it.
        reading: Answers questions.
    """
    slow = WorkerPool("testing and finding cameras", threads=2, waiting=6, seconds=_LATE_SECONDS)
    _add_tests(app, pipeline, slow)
    _add_calibration(app, CalibrationDesk(pipeline, setup.plan, setup.ground), reading)
    _add_plan(app, setup.plan, reading)
    _add_file(app, pipeline, setup.file, reading)


def _add_tests(app: FastAPI, pipeline: Pipeline, slow: WorkerPool) -> None:
    @app.post("/camera-tests", openapi_extra=body_of("Camera"))
    async def test(request: Request) -> Response:
        body = await request_object(request)
        return await slow.run(lambda: JSONResponse(_tested(pipeline, body)))

    @app.post("/camera-searches")
    async def search(seconds: float = 3.0) -> Response:
        def found() -> Response:
            return JSONResponse([{**asdict(camera), "uri": camera.uri} for camera in find_cameras(seconds)])

        return await slow.run(found)

    @app.post("/camera-streams")
    async def streams(request: Request) -> Response:
        body = await request_object(request)
        asked = {key: body.get(key, "") for key in ("service", "user", "password")}
        if set(body) - set(asked) or not asked["service"] or not all(isinstance(v, str) for v in asked.values()):
            raise ConfigError("say which device: 'service', and 'user' and 'password' where it wants an account")
        return await slow.run(lambda: JSONResponse([asdict(stream) for stream in device_streams(**asked)]))


def _tested(pipeline: Pipeline, body: dict[str, Any]) -> dict[str, Any]:
    """What doctor says of a camera, and what it shows: one of the run by its name alone, or the keys of the YAML."""
    known = {config.name: config for config in pipeline.cameras.configs}
    if set(body) == {"name"} and body["name"] in known:
        config = known[body["name"]]
    else:
        config = validate(CameraConfig, {"name": "camera", **body}, where="camera")
    check, frame = examine_camera(config, seconds=_TEST_SECONDS)
    picture = None
    if frame is not None and frame.has_image:
        height = max(1, round(frame.size[1] * _PREVIEW_WIDTH / frame.size[0]))
        good, data = cv2.imencode(".jpg", cv2.resize(frame.image, (_PREVIEW_WIDTH, height)))
        picture = base64.b64encode(bytes(data)).decode() if good else None
    return {**asdict(check), "rate": round(check.rate, 2), "picture": picture}


def _add_calibration(app: FastAPI, desk: CalibrationDesk, reading: WorkerPool) -> None:
    @app.post("/calibrations")
    async def calibrate(request: Request) -> Response:
        body = await request_object(request)
        camera, other = str(body.get("camera", "")), body.get("other")
        if "points" not in body or set(body) - {"camera", "other", "points"}:
            raise ConfigError("a calibration has 'camera', 'points' and, where another camera shows them, 'other'")

        def worked_out() -> Response:
            points = points_of(body["points"])
            return JSONResponse(desk.calibrate(camera, points, other=None if other is None else str(other)))

        return await reading.run(worked_out)


def _add_plan(app: FastAPI, plan: GroundPlan, reading: WorkerPool) -> None:
    @app.get("/plan")
    async def state() -> Response:
        return await reading.run(lambda: JSONResponse(plan.to_dict()))

    @app.get("/plan/picture")
    async def picture() -> Response:
        data = plan.picture
        if data is None:
            raise HTTPException(404, "there is no plan; POST a picture to /uploads/plan")
        return Response(data, media_type="image/png")

    @app.post("/uploads/plan", status_code=201)
    async def upload(request: Request) -> Response:
        data = await request.body()

        def put() -> Response:
            plan.put(data)
            return JSONResponse(plan.to_dict(), 201)

        return await reading.run(put)

    @app.post("/plan/scale")
    async def scale(request: Request) -> Response:
        body = await request_object(request)

        def rescaled() -> Response:
            plan.rescale(_scale(body))
            return JSONResponse(plan.to_dict())

        return await reading.run(rescaled)


def _scale(body: dict[str, Any]) -> PlanScale:
    """The scale in a body: 'metres_per_pixel', or two pixels 'from' and 'to' and the 'metres' between them."""
    try:
        origin = _pair(body.get("origin", (0.0, 0.0)))
        if "metres_per_pixel" in body:
            return PlanScale(float(body["metres_per_pixel"]), origin)
        return PlanScale.of_distance(_pair(body["from"]), _pair(body["to"]), float(body["metres"]), origin)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ConfigError(
            "a scale is 'metres_per_pixel', or 'from' and 'to' (two pixels [x, y] of the plan) and 'metres' between "
            "them; 'origin' is the pixel that is (0, 0) on the ground"
        ) from None


def _pair(value: Any) -> tuple[float, float]:
    x, y = value
    return float(x), float(y)


def _add_file(app: FastAPI, pipeline: Pipeline, file: CamerasFile | None, reading: WorkerPool) -> None:
    def needed() -> CamerasFile:
        if file is None:
            raise HTTPException(404, "this run has no cameras file: start it with one (streamreid serve cams.yaml)")
        return file

    def proposed() -> Any:
        places = pipeline.places
        return needed().proposal(pipeline.cameras.configs, places.zones, places.lines)

    @app.get("/cameras-file")
    async def difference() -> Response:
        def shown() -> Response:
            change = proposed()
            return JSONResponse({"path": str(needed().path), "digest": change.new_digest, "diff": change.diff})

        return await reading.run(shown)

    @app.post("/cameras-file")
    async def write(request: Request) -> Response:
        body = await request_object(request)

        def written() -> Response:
            change = proposed()
            if body.get("digest") != change.new_digest:
                raise HTTPException(409, "what would be written is not what was shown any more; look at it again")
            needed().write(change)
            return JSONResponse({"path": str(needed().path), "written": bool(change.diff)})

        return await reading.run(written)
