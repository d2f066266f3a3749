"""Calibrations as public data sets and tools write them: the same places, or a message that says how to convert.

One camera in all formats: 1920 x 1080, f = 1200 px, 5 m above the ground at (2, -8), looking along y and 25 degrees
down.
"""

from __future__ import annotations

import json
import logging

import cv2
import numpy as np
import pytest

from streamreid.config.calibration import CalibrationConfig
from streamreid.errors import ConfigError
from streamreid.ground.calibration_files import load_calibration

K = np.array([[1200.0, 0, 960], [0, 1200.0, 540], [0, 0, 1]])
TILT = np.radians(25)
PLACE = np.array([2.0, -8, 5])
R = np.array([[1, 0, 0], [0, -np.sin(TILT), -np.cos(TILT)], [0, np.cos(TILT), -np.sin(TILT)]])
T = -R @ PLACE
P = K @ np.c_[R, T]
H = P[:, [0, 1, 3]]
GROUND = np.array([[2, 0], [0, 4], [5, 8], [-1, 1]], float)
SEEN = P @ np.c_[GROUND, np.zeros(4), np.ones(4)].T
PIXELS = (SEEN[:2] / SEEN[2]).T


def text(matrix, separator=" "):
    return "\n".join(separator.join(f"{v:.9g}" for v in row) for row in matrix)


def places(**settings):
    return load_calibration("c", CalibrationConfig(**settings)).scaled((1920, 1080)).to_plane(PIXELS)


def opencv(path, **values):
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    for name, value in values.items():
        storage.write(name, value)
    storage.release()


TEXTS = {
    "p34.txt": text(P),
    "p44.txt": text(np.r_[P, [[0, 0, 0, 1]]]),
    "twelve.txt": " ".join(f"{v:.9g}" for v in P.ravel()),
    "nine.txt": " ".join(f"{v:.9g}" for v in np.linalg.inv(H).ravel()),
    "ground_to_pixels.txt": text(H),
    "pixels_to_ground.txt": text(np.linalg.inv(H)),
    "epfl.txt": "# ground plane homography\nCamera 0\n" + text(H),
    "aicity.txt": "Homography matrix: " + text(H).replace("\n", ";") + "\nReprojection error: 1.2\n",
    "print.txt": str(np.linalg.inv(H)),
    "commas.csv": text(np.linalg.inv(H), ","),
    "decimal_commas.csv": "\n".join(";".join(f"{v:.9f}".replace(".", ",") for v in row) for row in np.linalg.inv(H)),
    "bom.txt": "\ufeff" + text(P).replace("\n", "\r\n"),
    "nested.json": json.dumps(np.linalg.inv(H).tolist()),
    "named.json": json.dumps({"H": np.linalg.inv(H).tolist()}),
    "projection.json": json.dumps({"P": P.tolist()}),
    "points.json": json.dumps({"camera points": PIXELS.tolist(), "map points": np.c_[GROUND, np.zeros(4)].tolist()}),
    "ros.yaml": "image_width: 1920\nimage_height: 1080\n"
    f"camera_matrix: {{rows: 3, cols: 3, data: {K.ravel().tolist()}}}\n"
    f"rotation: {R.tolist()}\ntranslation: {T.tolist()}\n",
}


@pytest.mark.parametrize("name", TEXTS)
def test_the_same_places_from_every_text(tmp_path, name):
    (tmp_path / name).write_bytes(TEXTS[name].encode())
    np.testing.assert_allclose(places(file=str(tmp_path / name)), GROUND, atol=2e-3)


@pytest.mark.parametrize("ending", ["xml", "yml", "json"])
@pytest.mark.parametrize("bent", [False, True])
def test_opencv(tmp_path, ending, bent):
    distortion = np.array([-0.2, 0.05, 0.001, -0.001, 0.0]) if bent else np.zeros(5)
    file = tmp_path / f"c.{ending}"
    opencv(file, camera_matrix=K, distortion_coefficients=distortion, rvec=cv2.Rodrigues(R)[0], tvec=T)
    camera = load_calibration("c", CalibrationConfig(file=str(file))).scaled((1920, 1080))
    seen = cv2.projectPoints(np.c_[GROUND, np.zeros(4)], cv2.Rodrigues(R)[0], T, K, distortion)[0].reshape(-1, 2)
    np.testing.assert_allclose(camera.to_plane(seen), GROUND, atol=5e-3)
    np.testing.assert_allclose(camera.project(np.c_[GROUND, np.zeros(4)])[0], seen, atol=0.05)


def test_homography_and_projection_of_opencv(tmp_path):
    opencv(tmp_path / "h.yml", H=np.linalg.inv(H))
    opencv(tmp_path / "p.xml", P=P)
    for name in ("h.yml", "p.xml"):
        np.testing.assert_allclose(places(file=str(tmp_path / name)), GROUND, atol=1e-3)


@pytest.mark.parametrize("folders", [("", ""), ("intrinsic_zero", "extrinsic")])
def test_wildtrack_has_two_files_in_centimetres(tmp_path, folders):
    inner, outer = (tmp_path / f for f in folders)
    inner.mkdir(exist_ok=True)
    outer.mkdir(exist_ok=True)
    opencv(inner / "intr_CVLab1.xml", camera_matrix=K, distortion_coefficients=np.zeros(5))
    rvec, tvec = cv2.Rodrigues(R)[0].ravel(), T * 100
    (outer / "extr_CVLab1.xml").write_text(
        '<?xml version="1.0"?>\n<opencv_storage>\n'
        f"<rvec>{' '.join(f'{v:.9g}' for v in rvec)}</rvec>\n"
        f"<tvec>{' '.join(f'{v:.9g}' for v in tvec)}</tvec>\n</opencv_storage>\n"
    )
    for file in (inner / "intr_CVLab1.xml", outer / "extr_CVLab1.xml"):
        with pytest.raises(ConfigError, match=r"500 m above the ground.*centimetres it fits.*unit: 0\.01"):
            places(file=str(file))
        np.testing.assert_allclose(places(file=str(file), unit=0.01), GROUND, atol=1e-3)
    given = {"file": str(outer / "extr_CVLab1.xml"), "intrinsics": str(inner / "intr_CVLab1.xml"), "unit": 0.01}
    np.testing.assert_allclose(places(**given), GROUND, atol=1e-3)
    (inner / "intr_CVLab1.xml").rename(inner / "other.xml")
    with pytest.raises(ConfigError, match=r"holds the pose alone.*intrinsics"):
        places(file=str(outer / "extr_CVLab1.xml"))


def test_two_files_in_the_working_folder(tmp_path, monkeypatch):
    opencv(tmp_path / "intr_CVLab1.xml", camera_matrix=K, distortion_coefficients=np.zeros(5))
    opencv(tmp_path / "extr_CVLab1.xml", rvec=cv2.Rodrigues(R)[0], tvec=T)
    monkeypatch.chdir(tmp_path)
    for file in ("extr_CVLab1.xml", "intr_CVLab1.xml"):
        np.testing.assert_allclose(places(file=file), GROUND, atol=1e-3)
    (tmp_path / "intr_CVLab1.xml").unlink()
    with pytest.raises(ConfigError, match=r"holds the pose alone.*intrinsics"):
        places(file="extr_CVLab1.xml")


@pytest.mark.parametrize(("factor", "unit"), [(100, 0.01), (1000, 0.001)])
@pytest.mark.parametrize("kind", ["matrix", "homography", "points"])
def test_other_units_are_named(factor, unit, kind):
    scale = np.diag([1 / factor, 1 / factor, 1 / factor, 1])
    settings = {
        "matrix": {"matrix": (P @ scale).tolist()},
        "homography": {"matrix": np.linalg.inv((P @ scale)[:, [0, 1, 3]]).tolist()},
        "points": {"points": np.c_[PIXELS, GROUND * factor].tolist()},
    }[kind]
    with pytest.raises(ConfigError, match=f"unit: {unit:g}"):
        places(**settings)
    np.testing.assert_allclose(places(**settings, unit=unit), GROUND, atol=1e-3)
    places(
        **settings,
        unit=1,
        maps=None if kind == "points" else ("world-to-camera" if kind == "matrix" else "pixels-to-ground"),
    )


@pytest.mark.parametrize("kind", ["matrix", "opencv"])
def test_a_pose_from_the_camera_to_the_world_is_named(tmp_path, kind):
    if kind == "matrix":
        settings = {"matrix": (K @ np.c_[R.T, PLACE]).tolist()}
    else:
        opencv(tmp_path / "c.yml", camera_matrix=K, rvec=cv2.Rodrigues(R.T)[0], tvec=PLACE)
        settings = {"file": str(tmp_path / "c.yml")}
    with pytest.raises(ConfigError, match=r"Read as camera-to-world it fits: the camera 5 m.*maps: camera-to-world"):
        places(**settings)
    np.testing.assert_allclose(places(**settings, maps="camera-to-world"), GROUND, atol=1e-3)


def test_a_board_on_the_floor_has_z_pointing_down(tmp_path):
    flip = np.diag([1.0, -1, -1])  # x right, y towards the camera, z into the floor
    opencv(tmp_path / "c.yml", camera_matrix=K, rvec=cv2.Rodrigues(R @ flip)[0], tvec=T)
    np.testing.assert_allclose(places(file=str(tmp_path / "c.yml")), GROUND * [1, -1], atol=1e-3)


def test_the_default_of_the_first_version_says_nothing_of_a_projection():
    # Version 0.1.0 wrote maps: pixels-to-ground into caches beside 3x4 matrices, which have no such choice.
    rows = tuple(map(tuple, P.tolist()))
    assert np.allclose(places(matrix=rows, maps="pixels-to-ground"), GROUND, atol=0.01)


def test_which_way_a_homography_leads_can_be_said(caplog):
    with caplog.at_level(logging.INFO):
        np.testing.assert_allclose(places(matrix=H.tolist()), GROUND, atol=1e-3)
    assert "from the ground to pixels" in caplog.text
    np.testing.assert_allclose(places(matrix=H.tolist(), maps="ground-to-pixels"), GROUND, atol=1e-3)
    with pytest.raises(ConfigError, match="maps: camera-to-world is for another kind"):
        places(matrix=H.tolist(), maps="camera-to-world")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", text(np.c_[R, T]), "a pose alone"),
        ("a.txt", text(P.T), "transpose"),
        ("a.txt", "1 2 3\n4 five 6\n7 8 9\n", "line 2: not a row of numbers"),
        ("a.txt", "nothing here\n", "no numbers"),
        ("a.txt", text(P) + "\n" + text(P), "6x4"),
        ("a.txt", "1 2 3\n4 5\n", "rows of"),
        ("a.json", '{"focal": 3}', "holds nothing that is known; expected camera_matrix"),
        ("a.json", "[" * 5000, "not valid JSON"),
        ("a.json", json.dumps({"camera points": [[1, 2]], "map points": [[1, 2]]}), "at least four points"),
        ("a.xml", "<opencv_storage><a>", "OpenCV|holds"),
        ("a.xml", "<x/>", "not a Tsai calibration"),
        ("a.xml", "<a>" * 65 + '<Geometry width="1"/>' + "</a>" * 65, "not a Tsai calibration"),
        ("a.yml", "%YAML:1.0\n---\nfocal: 3\n", "expected camera_matrix"),
        ("a.yaml", "a: [", "not valid YAML"),
    ],
)
def test_what_is_no_calibration_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ConfigError, match=message) as error:
        places(file=str(tmp_path / name))
    assert name in str(error.value)


def test_arrays(tmp_path):
    np.save(tmp_path / "p.npy", P)
    np.savez(tmp_path / "both.npz", cam1=P, cam2=P)
    np.savez(tmp_path / "parts.npz", camera_matrix=K, rvec=cv2.Rodrigues(R)[0], tvec=T)
    for name in ("p.npy", "both.npz:cam2", "parts.npz"):
        np.testing.assert_allclose(places(file=str(tmp_path / name)), GROUND, atol=1e-3)
    with pytest.raises(ConfigError, match="holds cam1, cam2; pick one"):
        places(file=str(tmp_path / "both.npz"))


def cameras_of_a_file(*titles):
    """A matrix for each title; that of camera 1 is the right one, the others lie ten metres beside."""
    moved = np.array([[1, 0, 10.0], [0, 1, 10.0], [0, 0, 1]])
    return "\n\n".join(f"{title}\n{text(H if right else H @ moved)}" for title, right in titles)


@pytest.mark.parametrize(
    ("titles", "name", "key"),
    [
        ((("Camera 0", False), ("Camera 1", True), ("Camera 2", False)), "cam01", ""),
        ((("Camera 0", False), ("Camera 1", True)), "entrance", ":1"),
        ((("# entrance", True), ("# hall", False)), "entrance", ""),
        ((("% entrance", True), ("% hall", False)), "anything", ":Entrance"),
        ((("Camera 0", False), ("Camera 1\nhead plane", False), ("ground plane", True)), "view-1", ""),
    ],
)
def test_one_camera_of_a_file_with_several(tmp_path, titles, name, key):
    (tmp_path / "all.txt").write_text(cameras_of_a_file(*titles))
    camera = load_calibration(name, CalibrationConfig(file=f"{tmp_path / 'all.txt'}{key}"))
    np.testing.assert_allclose(camera.scaled((1920, 1080)).to_plane(PIXELS), GROUND, atol=2e-3)


@pytest.mark.parametrize("name", ["entrance", "cam07"])
def test_a_file_with_several_cameras_and_none_of_them_named_is_refused(tmp_path, name):
    (tmp_path / "all.txt").write_text(cameras_of_a_file(("Camera secret 0", False), ("Camera 1", True)))
    with pytest.raises(ConfigError, match=r"holds 2 matrices \(lines 2, 7\).*'all.txt:2'") as caught:
        load_calibration(name, CalibrationConfig(file=str(tmp_path / "all.txt")))
    assert "secret" not in str(caught.value)
