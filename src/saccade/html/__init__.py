"""Pages for a browser: one file each, with all that they show inside, from templates that escape every value."""
