"""The same program over many devices: meshes, replicas, shares of tables and graphs."""
