"""PostgreSQL as a source: COPY to Arrow to Parquet, all slices under one exported snapshot."""
