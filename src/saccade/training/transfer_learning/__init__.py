"""Transfer learning: pretrained weights, cached features, and the linear head fitted to them."""
