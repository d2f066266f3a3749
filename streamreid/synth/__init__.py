"""Generated scenes: many cameras, real people's pictures, exact truth."""

from streamreid.synth.config import SceneConfig
from streamreid.synth.cutouts import Person, Picture, read_people
from streamreid.synth.recording import Report, record

__all__ = ["Person", "Picture", "Report", "SceneConfig", "read_people", "record"]
