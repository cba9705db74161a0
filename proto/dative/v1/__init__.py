"""The wire: generated from the .proto files beside it by proto/stubs.py; nothing here is written by hand."""
