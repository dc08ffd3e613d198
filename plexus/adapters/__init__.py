"""Technologies behind the ports: one folder a port, one file a technology. They do not know each other."""
