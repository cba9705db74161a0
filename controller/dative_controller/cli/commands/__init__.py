"""One file a noun. Heavy libraries (gRPC, pydantic, rich) are imported inside the functions that need them."""
