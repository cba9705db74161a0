"""The controller: environments, deployments, the fleet and its reports. Serves atoms, the CLI and the console."""
