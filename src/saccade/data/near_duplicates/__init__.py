"""Search for exact duplicates and near-duplicates among images."""
