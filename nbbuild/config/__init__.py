"""jcache.toml: read as frozen types, and edited."""
