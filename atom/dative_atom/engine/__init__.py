"""The engine: runs one execution of one process over columns of documents."""
