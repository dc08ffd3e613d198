"""How a key reaches this machine from the browser: a listener on loopback."""
