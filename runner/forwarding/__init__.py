"""ASGI over an authenticated WebSocket: how a gateway elsewhere speaks to the proxy in a pod.

A link is one WebSocket. Both ends prove first that they hold the REPL's key (`keys`); from then on it carries one
request or one browser's WebSocket at a time, as ASGI messages in binary frames (`wire`). Nothing is multiplexed, so
TCP's own back-pressure is kept end to end, and it passes through whatever passes WebSockets: straight to the pod's
address, through an ingress, or through the Kubernetes API server. `serving` is the end in the pod; the other one is
`orchestrator.backends.kubernetes.forward`.
"""
