"""What an attacker would try, on a real gateway; one topic a file. The table is in docs/explanation/security.md."""
