"""The training recipe a user writes as YAML: data, network, losses, schedule."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from streamreid._sections import Section
from streamreid._yaml import read_yaml, validate
from streamreid.datasets.dataset_config import DatasetConfig
from streamreid.datasets.part_grouping import PART_NAMES

__all__ = ["AugmentationConfig", "LossConfig", "NetworkConfig", "ScheduleConfig", "TrainConfig", "load_recipe"]

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Weight = Annotated[float, Field(ge=0.0)]
Module = Literal["backbone", "predictor", "focuser", "masker", "grader", "head"]


class NetworkConfig(Section):
    """Which backbone, parts and heads the network has."""

    parts: tuple[str, ...] = Field(
        default=PART_NAMES, min_length=1, description="Names of the parts; a training takes them from its labels."
    )
    backbone: str = Field(
        description=(
            "An OpenVINO IR of person-reidentification-retail-0277 (.xml), resnet50, mobilenet_v2, or a network of "
            "timm's (hrnet_w32, tf_efficientnet_lite0 ...)."
        )
    )
    weights: str | None = Field(
        default=None, description="ImageNet weights of a named backbone: a file, or 'hub' to fetch the library's."
    )
    dim: int = Field(default=512, ge=8, description="Values per part; an IR brings its own.")
    freeze: int = Field(
        default=0,
        ge=0,
        description="Everything before the backbone's n-th average pooling stays as pretrained; 0 trains all of it.",
    )
    predictor: Literal["linear", "context"] = Field(
        default="linear", description="Pixel-level predictor: BPBReID's 1x1 convolution, or one with context."
    )
    attention: Literal["joint", "supervised"] = Field(
        default="joint",
        description=(
            "Whether ReID losses also train the attention (BPBReID), or the pixel loss alone. Joint attention of "
            "small parts tends to spread over the person."
        ),
    )
    focuser: Literal["off", "maps", "features"] = Field(
        default="off",
        description=(
            "Fine-grained feature focuser: on the attention maps, or on the features that the parts are pooled from "
            "(the whole person untouched)."
        ),
    )
    focuser_width: int = Field(default=512, ge=8, description="Channels inside the focuser on features.")
    mask: Literal["off", "rgas"] = Field(
        default="off", description="OAMN's attention-guided mask on the features before the part head."
    )
    grader: bool = Field(
        default=False, description="OAMN's occlusion grader: scores of the four sides as a further output."
    )
    grader_sees: Literal["features", "map"] = Field(
        default="features",
        description=(
            "What the grader looks at: features averaged over the person (OAMN), or where on the map the person is "
            "seen, which tells sides better."
        ),
    )
    visibility: Literal["max", "area", "threshold", "argmax"] = Field(
        default="max", description="How visibilities follow from attention."
    )
    mu: Fraction = Field(default=0.4, description="Threshold of the attention maximum for visibility 'threshold'.")


class LossConfig(Section):
    """Weights of the losses; 0 switches a loss off."""

    identity: Weight = Field(
        default=1.0, description="Softmax cross-entropy on the whole person and on all parts together (GiLt)."
    )
    identity_whole: Weight = Field(default=1.0, description="Share of that for the classifier of the whole person.")
    smoothing: Fraction = Field(default=0.1, description="Label smoothing of the identity loss.")
    part_triplet: Weight = Field(
        default=1.0, description="Batch-hard triplet on the distance over parts, without the whole person."
    )
    triplet_mode: Literal["averaged", "head", "individual"] = Field(
        default="averaged", description="How part distances are combined."
    )
    whole_triplet: Weight = Field(default=1.0, description="Batch-hard triplet on the whole-person slot.")
    margin: float = Field(default=0.3, description="Triplet margin; 0 or less takes the soft margin.")
    pixels: Weight = Field(default=0.35, description="Pixel cross-entropy of the part maps (gamma_part).")
    pixel_smoothing: Fraction = Field(default=0.1, description="Label smoothing of the pixel loss.")
    grouped_triplet: Weight = Field(
        default=0.0, description="OAMN's triplets on the whole person, mined within each set of occluded copies."
    )
    grader: Weight = Field(default=1.0, description="OAMN's occlusion grader, where the network has one.")
    halves: Weight = Field(
        default=5.0, description="OAMN's second mask loss (two halves add up); needs its mask module and four copies."
    )
    mask: Weight = Field(
        default=100.0,
        description="OAMN's first mask loss: where the person stays visible, occlusion must not change the features.",
    )
    agreement: Weight = Field(default=1.0, description="A part that stays visible keeps its embedding under occlusion.")
    teacher: Weight = Field(
        default=1.0,
        description=(
            "Distillation: pictures lie to each other as in the teacher's eyes; needs a `teacher` in the recipe."
        ),
    )
    imitation: Weight = Field(
        default=0.0,
        description=(
            "Distillation: the whole person points where the teacher's embedding does, behind an occluder too; needs "
            "a `teacher` with as many values."
        ),
    )


class AugmentationConfig(Section):
    """Changes to the pictures; occlusion copies come on top."""

    flip: Fraction = 0.5
    crop: int = Field(default=10, ge=0, description="Pixels of random shift on each side.")
    jitter: Fraction = Field(default=0.2, description="Range of random brightness, contrast and saturation.")
    zoom: Annotated[float, Field(ge=0.0, le=0.5)] = Field(
        default=0.0, description="Range of random scale: boxes are drawn wider or tighter."
    )
    quality: Fraction = Field(
        default=0.0,
        description="How often a picture becomes one of a worse camera: coarse, and half of these compressed.",
    )
    copies: int = Field(default=1, ge=0, le=4, description="Occluded copies per picture and step (OAMN takes 4).")
    patch: Weight = Field(default=0.3, description="How often a copy is covered by a stretched background patch ...")
    picture: Weight = Field(default=0.35, description="... by another person's picture stretched over the side ...")
    person: Weight = Field(default=0.35, description="... or by another person cut out along the class map.")


class ScheduleConfig(Section):
    """How long to train: batches, learning rates, averaging of weights."""

    steps: int = Field(default=1500, ge=1, description="Optimiser steps.")
    people: int = Field(default=16, ge=2, description="People per batch (P).")
    pictures: int = Field(default=2, ge=2, description="Pictures per person (K), spread over cameras.")
    rate: float = Field(
        default=4e-3, gt=0, description="Learning rate of new layers (predictor, focuser) at its height."
    )
    backbone_rate: Fraction = Field(default=0.05, description="The share of that for pretrained layers.")
    classifier_rate: Fraction = Field(
        default=0.125,
        description="The share for the classifier of the whole person; wider ones get less in proportion.",
    )
    decay: Weight = Field(default=0.01, description="Weight decay (AdamW).")
    warmup: Fraction = Field(default=0.08, description="Share of the steps with rising rate; cosine afterwards.")
    average: Fraction = Field(default=0.995, description="Decay of the moving average of the weights (EMA).")
    clip: Weight = Field(default=5.0, description="Largest gradient norm; 0 does not clip.")
    only: tuple[Module, ...] = Field(
        default=(),
        description="Train these modules alone and leave all others, their running statistics included, as they are.",
    )


class TrainConfig(Section):
    """The recipe of a whole training, as its YAML file holds it."""

    data: tuple[DatasetConfig, ...] = Field(min_length=1)
    network: NetworkConfig
    losses: LossConfig = LossConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    out: str = Field(description="Folder of checkpoints, logs and the report.")
    cache: str | None = Field(default=None, description="Folder of decoded pictures; default OUT/cache.")
    size: tuple[int, int] = Field(default=(256, 128), description="Height and width of the pictures.")
    seed: int = 1
    start: str | None = Field(
        default=None, description="A checkpoint whose weights are taken over where names and shapes fit."
    )
    teacher: str | None = Field(
        default=None,
        description=(
            "A global ReID network to learn from: an OpenVINO IR (.xml) of person-reidentification-retail-0277."
        ),
    )
    imprint: bool = Field(
        default=True, description="Identity classifiers start from the pretrained embeddings of their people."
    )
    compile: bool = Field(
        default=True, description="Compile the backbone (needs a C++ compiler on CPUs; several times faster)."
    )
    precision: Literal["bf16-mixed", "32-true"] = Field(
        default="bf16-mixed", description="bf16-mixed runs in float32 on CPUs that compute bfloat16 in software."
    )
    devices: int = Field(
        default=1, ge=1, description="GPUs (or processes on CPUs) per machine; a batch's people are divided among them."
    )
    nodes: int = Field(default=1, ge=1, description="Machines; start the same command on each with torchrun.")
    workers: int = Field(
        default=1, ge=1, description="Threads that prepare batches ahead; a GPU eats more than one can cook."
    )
    tensorboard: bool = Field(
        default=False, description="Write TensorBoard events beside log.csv (needs streamreid[tensorboard])."
    )
    save_every: int = Field(default=50, ge=1, description="Steps between checkpoints.")
    validate_every: int = Field(default=250, ge=1, description="Steps between validations.")

    @model_validator(mode="after")
    def _has_whom_to_imitate(self) -> TrainConfig:
        if self.losses.imitation and self.teacher is None:
            raise ValueError(
                "losses.imitation needs a teacher; name one (teacher: person-reidentification-retail-0277.xml) or set "
                "it to 0"
            )
        return self


def load_recipe(path: str | Path) -> TrainConfig:
    """Read and check a training recipe.

    Raises:
        ConfigError: The file is missing or has a wrong key or value (line and nearest right key given).
    """
    data, lines = read_yaml(Path(path))
    return validate(TrainConfig, data, where=str(path), lines=lines)
