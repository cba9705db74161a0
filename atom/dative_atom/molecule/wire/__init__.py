"""What travels between this client and etcd; `etcd_pb2` is generated (`make stubs`)."""
