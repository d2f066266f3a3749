"""Pictures of people, with labels of their parts, for training in seconds."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from streamreid.datasets.dataset_config import DatasetConfig
from streamreid.datasets.labels import LABEL_SIZE


def make_folder(root: Path, people: int = 6, cameras: int = 2, pictures: int = 3) -> DatasetConfig:
    """Coloured rectangles as people: torso and legs in the person's own colours."""
    images, labels = root / "images", root / "labels"
    images.mkdir(parents=True)
    labels.mkdir()
    label = np.zeros(LABEL_SIZE, np.uint8)
    label[6:14, 12:20], label[14:34, 8:24], label[34:60, 10:22] = 1, 2, 4
    for person in range(people):
        for camera in range(1, cameras + 1):
            for number in range(pictures):
                image = np.full((128, 64, 3), 90, np.uint8)
                image[28:68, 16:48] = (40 * person, 255 - 40 * person, 20 * camera)
                image[68:120, 20:44] = (255 - 40 * person, 30 * person, 128)
                name = f"{person:04d}_c{camera}s1_{number:06d}_00"
                cv2.imwrite(str(images / f"{name}.png"), image)
                cv2.imwrite(str(labels / f"{name}.png"), label)
    return DatasetConfig(images=str(images), labels=str(labels))
