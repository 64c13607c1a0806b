"""HTML pages: self-contained files from templates that escape every value."""
