"""The controller: holds environments and deployments, pushes signed bundles, keeps what atoms report."""
