"""Links to a gateway: WebSocket, plain HTTP, memory."""
