"""OAMN: "Occlude Them All: Occlusion-Aware Attention Network for Occluded Person Re-ID" (Chen et al., ICCV 2021)."""
