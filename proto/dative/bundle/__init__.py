"""The signed bundle: a manifest, its blobs, and the trust document that says who may sign."""
