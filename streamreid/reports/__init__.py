"""What people are shown of a run: clips, paths, heat maps, pages with charts."""
