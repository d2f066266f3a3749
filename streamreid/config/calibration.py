"""The settings of calibrated cameras and of the ground they see; ``config`` hands them on."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, field_validator, model_validator

from streamreid._sections import Section, basic

__all__ = ["CalibrationConfig", "GroundConfig"]


Row = Annotated[tuple[float, ...], Field(max_length=5)]


class CalibrationConfig(Section):
    """How pixels of a camera and metres on the ground belong together: one of ``file``, ``matrix`` and ``points``. A
    text alone is ``file``."""

    file: str | None = Field(
        default=None,
        description=(
            "Tsai XML; OpenCV's XML, YAML or JSON (camera_matrix, distortion_coefficients, rvec, tvec, or P, or H); "
            "or numbers of a 3x3 or 3x4 matrix as .txt, .csv, .json, .npy or .npz ('FILE.npz:NAME' picks one). "
            "Relative to the YAML's folder."
        ),
        max_length=4096,
        min_length=1,
        json_schema_extra=basic(),
    )
    intrinsics: str | None = Field(
        default=None,
        description=(
            "File with the camera matrix, where 'file' has only rotation and translation. Empty: looked for beside it "
            "(extr_NAME.xml: intr_NAME.xml)."
        ),
        max_length=4096,
        min_length=1,
    )
    matrix: tuple[Row, ...] | None = Field(
        default=None,
        max_length=4,
        description="3x4: from the world (x, y, z) to pixels; 3x3: from pixels to the ground (see maps).",
        json_schema_extra=basic(),
    )
    points: tuple[tuple[float, float, float, float], ...] | None = Field(
        default=None,
        max_length=1000,
        description="At least four places on the ground: [pixel across, pixel down, x, y].",
        json_schema_extra=basic("pixels and metres"),
    )
    maps: Literal["pixels-to-ground", "ground-to-pixels", "world-to-camera", "camera-to-world"] | None = Field(
        default=None,
        description="Which way a 3x3 matrix leads (pixels-to-ground, ground-to-pixels), or a pose (world-to-camera as "
        "in OpenCV, camera-to-world). Empty: pixels-to-ground and world-to-camera, unless only the other way makes "
        "sense.",
    )
    unit: float | None = Field(
        default=None,
        ge=1e-6,
        le=1e6,
        description="Metres per unit of the calibration; empty: 0.001 for Tsai XML (millimetres), else 1.",
        json_schema_extra=basic(
            "m",
            low="Cameras seem to stand closer together than they do; people are taken for too small.",
            high="People are taken for too tall; nobody is found on the ground.",
        ),
    )

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        return {"file": data} if isinstance(data, str) else data

    @field_validator("matrix")
    @classmethod
    def _shape(cls, rows: tuple[tuple[float, ...], ...] | None) -> tuple[tuple[float, ...], ...] | None:
        if rows is not None and (len(rows) != 3 or {len(r) for r in rows} not in ({3}, {4})):
            raise ValueError(
                f"a calibration matrix is 3x3 or 3x4, got {len(rows)} rows of {sorted({len(r) for r in rows})} numbers"
            )
        return rows

    @field_validator("points")
    @classmethod
    def _enough(
        cls, points: tuple[tuple[float, float, float, float], ...] | None
    ) -> tuple[tuple[float, float, float, float], ...] | None:
        if points is not None and len(points) < 4:
            raise ValueError(f"a calibration needs at least 4 points on the ground, got {len(points)}")
        return points

    @model_validator(mode="after")
    def _one(self) -> CalibrationConfig:
        if self.intrinsics is not None and self.file is None:
            raise ValueError("intrinsics belong to a file with rotation and translation; name it as 'file'")
        given = [n for n in ("file", "matrix", "points") if getattr(self, n) is not None]
        if len(given) != 1:
            raise ValueError(
                f"a calibration is one of file, matrix and points; got {' and '.join(given) or 'none of them'}"
            )
        return self


class GroundConfig(Section):
    """What calibrated cameras see together. Metres, seconds."""

    enabled: bool = Field(default=True, description="false takes no notice of calibration.", json_schema_extra=basic())
    area: tuple[tuple[float, float], ...] | None = Field(
        default=None,
        description="Polygon of [x, y] corners: who stands outside is in no world position. Empty: everywhere.",
        json_schema_extra=basic("m"),
    )
    score: float = Field(default=0.3, ge=0, le=1, description="Boxes from this score on are used.")
    cameras: int = Field(
        default=1,
        ge=1,
        le=100,
        description="So many cameras at least must show a new person at one place.",
        json_schema_extra=basic(
            "cameras",
            low="Boxes of nobody in one camera become people on the ground.",
            high="People whom few cameras see have no position.",
        ),
    )
    camera_share: float = Field(
        validation_alias=AliasChoices("camera_share", "share"),
        default=0.5,
        ge=0,
        le=1,
        description="Share of the cameras that see a place which must show a new person there.",
    )
    height: float = Field(
        default=1.7,
        ge=0.5,
        le=2.5,
        description="Usual body height, metres.",
        json_schema_extra=basic(
            "m", low="People seem to stand further from the camera than they do.", high="People seem to stand nearer."
        ),
    )
    heights: tuple[float, float] = Field(
        default=(0.9, 2.2), description="Least and greatest body height, metres (0.3 to 3)."
    )
    acceleration: float = Field(
        default=0.6,
        gt=0,
        le=20,
        description="How sharply people turn and stop: random acceleration, m / s^1.5. 0.6 for walking, 2 for sports.",
    )
    clutter: float = Field(default=1.0, gt=0, le=100, description="Boxes per frame that show nobody.")
    lost_seconds: float = Field(
        default=3.0,
        ge=0,
        le=60,
        description="Whoever was lost for so long is taken up again when somebody appears nearby.",
    )
    hypotheses: int = Field(
        default=12,
        ge=1,
        le=500,
        description="Explanations of who is who that are followed side by side: 1 decides at once, more are better in "
        "crowds and slower. Live cameras follow at most 3.",
    )
    check: bool = Field(
        default=True,
        description="Notice calibrations that contradict each other, warn, and go on without their places.",
    )

    @field_validator("heights")
    @classmethod
    def _range(cls, heights: tuple[float, float]) -> tuple[float, float]:
        if not 0.3 <= heights[0] < heights[1] <= 3.0:
            raise ValueError(
                f"heights are the least and the greatest body height in metres, within 0.3 and 3, got {list(heights)}"
            )
        return heights

    @field_validator("area")
    @classmethod
    def _polygon(cls, area: tuple[tuple[float, float], ...] | None) -> tuple[tuple[float, float], ...] | None:
        if area is not None and len(area) < 3:
            raise ValueError(f"an area needs at least 3 corners, got {len(area)}")
        return area
