"""People that never lived: pictures with exact parts and visibilities, from one seed."""

from streamreid.synth.people.config import PeopleConfig
from streamreid.synth.people.people_folder import FolderReport, Generator, write_people

__all__ = ["FolderReport", "Generator", "PeopleConfig", "write_people"]
