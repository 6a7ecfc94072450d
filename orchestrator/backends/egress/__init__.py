"""Where programs may connect to, and the HTTP proxies that keep it: on a sandbox's unix socket, or on TCP for pods."""
