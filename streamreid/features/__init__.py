"""Part features: the occlusion-unified part similarity, and packed search among many people."""
