"""The controller's store: tables, transactions, and one file of functions an area. Knows no gRPC and no clock."""
