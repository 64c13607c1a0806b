"""Label files: tables that name images with their labels, as CSV, TSV, JSON lines or Parquet."""
