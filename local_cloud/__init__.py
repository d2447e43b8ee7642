"""AWS on a laptop: an AWS emulator with a Glue runner, an embedded PostgreSQL and a Snowflake double."""
