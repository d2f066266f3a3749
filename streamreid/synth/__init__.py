"""Generated scenes: many cameras, real people's pictures, exact truth."""

from streamreid.synth.config import SceneConfig
from streamreid.synth.cutouts import Person, Picture, read_people
from streamreid.synth.scene_folder import check_folder, fresh_scene
from streamreid.synth.scene_making import load_people, make_scene
from streamreid.synth.scene_writer import Report, record

__all__ = [
    "Person",
    "Picture",
    "Report",
    "SceneConfig",
    "check_folder",
    "fresh_scene",
    "load_people",
    "make_scene",
    "read_people",
    "record",
]
