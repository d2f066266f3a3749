"""The section ``gallery``: what outlives a run, how much of it, and for how long."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from streamreid._sections import Section, basic
from streamreid.addresses import check_address
from streamreid.secrets import redact, remember_address

__all__ = ["GalleryConfig"]

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class GalleryConfig(Section):
    """Identities that outlive a run. Off unless ``store`` is given: embeddings are personal data."""

    store: str | None = Field(
        default=None,
        description=(
            "SQLite file or postgresql:// address in which identities are remembered; empty: nothing outlives the run."
        ),
        min_length=1,
        json_schema_extra=basic(),
    )
    retention_hours: float | None = Field(
        default=24.0,
        gt=0,
        description="What was recorded is erased after so many hours; null keeps it until a cap evicts it.",
        json_schema_extra=basic(
            "h",
            low="Who comes back later is not known any more.",
            high="Personal data is kept longer than it is needed.",
        ),
    )
    camera_retention_hours: dict[str, float] = Field(
        default_factory=dict, description="The same for single cameras, by name."
    )
    prototypes: int = Field(default=8, ge=1, le=64, description="Views kept per identity.")
    min_quality: Fraction = Field(
        default=0.2, description="Views of which less was seen, or seen less well, are not kept."
    )
    max_identities: int = Field(
        default=20_000,
        ge=1,
        description="Identities kept; the least useful go first.",
        json_schema_extra=basic(
            "identities",
            low="People are forgotten before their retention ends.",
            high="Searches take longer, and the file grows.",
        ),
    )
    max_prototypes: int = Field(default=100_000, ge=1, description="Views kept over all identities.")
    max_appearances: int = Field(
        default=500_000, ge=1, description="Appearances (tracks) kept over all identities; the oldest go first."
    )
    max_events: int = Field(default=200_000, ge=0, description="Identity events kept.")
    recall: Fraction = Field(
        default=0.2, description="Least probability by looks for somebody remembered to be considered for a newcomer."
    )
    recall_hours: float | None = Field(
        default=8.0,
        gt=0,
        description=(
            "Who was stored longer ago than so many hours is nobody's earlier self by looks: clothes change over "
            "night. null: however long ago. Searches and corrections by people are not bound by it."
        ),
    )
    commit_seconds: float = Field(default=1.0, gt=0, le=1, description="Longest time until something seen is on disk.")
    crops: bool = Field(
        default=False,
        description="Also keep the best picture of each appearance; off: no picture is ever stored.",
        json_schema_extra=basic(),
    )
    private: bool = Field(
        default=True,
        description=(
            "Only the owner can read the gallery's file, backups, exports and caches (0600; folders that are made for "
            "them 0700). false: whoever the umask says."
        ),
    )
    encryption: bool = Field(
        default=False,
        description="Encrypt features, names and pictures in the store (AES-256-GCM).",
        json_schema_extra=basic(),
    )
    key_variable: str = Field(
        default="STREAMREID_GALLERY_KEY",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Environment variable with the key.",
        json_schema_extra={"x-expected": "write the name of an environment variable, not the key itself"},
    )
    index_from: int = Field(
        default=200_000,
        ge=1,
        description="From so many views on, searches take candidates from an approximate index.",
    )

    @field_validator("store")
    @classmethod
    def _address(cls, store: str | None) -> str | None:
        if store is None:
            return None
        remember_address(store)
        return check_address(store)

    @field_validator("camera_retention_hours")
    @classmethod
    def _positive(cls, hours: dict[str, float]) -> dict[str, float]:
        wrong = sorted(name for name, value in hours.items() if not value > 0)
        if wrong:
            raise ValueError(f"hours must be above 0, for: {', '.join(wrong)}")
        return hours

    def __repr__(self) -> str:
        return f"GalleryConfig(store={redact(self.store)!r}, retention_hours={self.retention_hours})"

    __str__ = __repr__
