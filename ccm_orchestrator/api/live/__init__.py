"""What happens, as it happens: WebSockets, and the screens of agents."""
