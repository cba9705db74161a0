"""Process tests and dry runs on the whole engine, with no server. See README.md."""
