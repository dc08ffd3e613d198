"""What real processes, sockets and disks do to the promise, judged from outside (docs/explanation/delivery.md)."""
