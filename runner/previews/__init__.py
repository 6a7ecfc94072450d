"""Hosts of programs' ports: who gets in there. Served by the gateway, and by the proxy in a pod."""
