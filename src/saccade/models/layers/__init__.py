"""Custom Keras layers: faster or more precise counterparts of stock layers, never part of a saved model."""
