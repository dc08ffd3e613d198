"""What the device facade runs: uplink, commands, runs, camera, status line."""
